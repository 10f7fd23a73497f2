"""safetensors out, and a folder for a model hub that loads as it stands."""

import json
from functools import partial

import numpy as np
import pytest
import torch
import torchvision
import yaml
from mmengine.config import Config
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import dsr_nss
from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.checkpoints.writing import content_digest
from dsr_nss.conversion.convert import convert_checkpoint
from dsr_nss.conversion.hub import write_hub_folder
from dsr_nss.errors import CheckpointError, ConfigError
from dsr_nss.inference.load import load_model
from dsr_nss.shipped import shipped_file
from tests.tiny_segmentor import make_segmentor

SCORES = {
    'night_val/mIoU': 41.237, 'night_val/mIoU_official': 41.237, 'night_val/IoU/road': 80.5,
    'night_val/images': 3, 'night_val/images_per_second': 7.0, 'model': 'student', 'tta': True,
    'amp': None, 'checkpoint': '/home/somebody/run.pth',
}  # fmt: skip


@pytest.fixture
def run(tmp_path, config_file):
    """A checkpoint that carries its config and what a run knows of itself."""
    config = Config.fromfile(str(config_file))
    config.test_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    sets = dict(source=dict(type='Cityscapes', split='train'), target=dict(type='DarkZurich'))
    config.train_dataloader = dict(dataset=dict(type='SourceTargetDataset', **sets))
    environment = dict(dsr_nss='0.1.0', torch='2.14.1', device='cpu', platform='secret')
    meta = dict(iter=20, seed=3, cfg=config.pretty_text, environment=environment)
    state = make_segmentor(config_file).state_dict()
    torch.save(dict(meta=meta, state_dict=state), tmp_path / 'run.pth')
    return tmp_path / 'run.pth'


@pytest.fixture
def night(rng):
    return rng.integers(0, 256, (24, 40, 3), dtype=np.uint8)


def test_safetensors_out_is_the_torch_file_in_another_format(run, tmp_path, night):
    for name in ('a.pth', 'a.safetensors'):
        assert convert_checkpoint(run, tmp_path / 'out' / name).written == tmp_path / 'out' / name
    plain, safe = (
        load_checkpoint_file(tmp_path / 'out' / f'a.{s}') for s in ('pth', 'safetensors')
    )
    assert plain['state_dict'].keys() == safe['state_dict'].keys()
    assert all(torch.equal(v, safe['state_dict'][k]) for k, v in plain['state_dict'].items())
    assert json.loads(json.dumps(plain['meta'])) == safe['meta']
    # any other reader of the format gets the weights alone
    others = load_file(tmp_path / 'out/a.safetensors')
    assert others.keys() == plain['state_dict'].keys()
    first, second = (
        dsr_nss.load(file, device='cpu').predict(night)
        for file in (run, tmp_path / 'out/a.safetensors')
    )
    assert np.array_equal(first.labels, second.labels)


def test_entries_that_share_their_memory_are_written_apart(run, tmp_path):
    content = torch.load(run)
    state = content['state_dict']
    first, second = [name for name in state if name.endswith(('running_mean', 'running_var'))][:2]
    state[second] = state[first]
    torch.save(content, tmp_path / 'tied.pth')
    file = convert_checkpoint(tmp_path / 'tied.pth', tmp_path / 'a.safetensors').written
    assert torch.equal(load_file(file)[second], state[first])


@pytest.mark.parametrize('meta', ['{', '[1]'])
def test_a_damaged_header_is_refused(tmp_path, meta):
    save_file({'w': torch.ones(2)}, tmp_path / 'a.safetensors', {'dsr_nss': meta})
    with pytest.raises(CheckpointError, match='a.safetensors'):
        load_checkpoint_file(tmp_path / 'a.safetensors')


def test_a_folder_in_half_precision_loads_as_float32(run, tmp_path):
    write_hub_folder(run, tmp_path / 'folder', half=True)
    written = load_file(tmp_path / 'folder/model.safetensors')
    assert {v.dtype for v in written.values() if v.is_floating_point()} == {torch.float16}
    read = dsr_nss.load(tmp_path / 'folder', device='cpu').model.state_dict()
    assert all(torch.equal(read[name], value.to(read[name])) for name, value in written.items())


def test_a_folder_loads_as_it_stands_and_its_card_says_what_is_known(run, tmp_path, night):
    (tmp_path / 'scores.json').write_text(json.dumps(SCORES))
    folder = tmp_path / 'my_net'
    write_hub_folder(
        run, folder, licence='cc-by-4.0', data='Five streets.', scores=[tmp_path / 'scores.json']
    )
    assert sorted(path.name for path in folder.iterdir()) == [
        'README.md', 'config.py', 'model.safetensors',
    ]  # fmt: skip
    first, second = (dsr_nss.load(path, device='cpu').predict(night) for path in (run, folder))
    assert np.array_equal(first.labels, second.labels)
    model = load_model(folder / 'config.py', folder / 'model.safetensors')
    assert model.backbone.base_channels == 4
    _, front, card = (folder / 'README.md').read_text().split('---\n', 2)
    assert yaml.safe_load(front)['license'] == 'cc-by-4.0'
    for text in (
        '# my_net', 'FCNHead on UNet', '19 classes', 'Five streets.', 'cc-by-4.0', '41.24',
        'with test-time augmentation, in float32', 'night_val: 3 images', '| iterations | 20 |',
        '| seed | 3 |', '| source of its config | Cityscapes train |', 'mode whole',
        '| target of its config | DarkZurich |', 'dsr_nss 0.1.0, torch 2.14.1, device cpu',
        '## Protocol\n\nNot stated.', 'of the student of run.pth, with test-time',
    ):  # fmt: skip
        assert text in card, text
    everything = card + (folder / 'config.py').read_text()
    assert str(tmp_path) not in everything and 'secret' not in card and 'somebody' not in card
    with safe_open(folder / 'model.safetensors', 'pt') as file:
        assert str(tmp_path) not in str(file.metadata())


def test_what_nobody_says_is_not_invented(run, tmp_path):
    content = torch.load(run, weights_only=True)
    content['meta'] = dict(cfg=content['meta']['cfg'].replace('train_dataloader', 'other'))
    torch.save(content, tmp_path / 'bare.pth')
    write_hub_folder(tmp_path / 'bare.pth', tmp_path / 'bare')
    card = (tmp_path / 'bare/README.md').read_text()
    assert card.count('Not stated.') == 3 and 'None given.' in card
    assert not any(
        word in card for word in ('license', 'iterations', 'seed', 'trained', 'Cityscapes')
    )


@pytest.mark.parametrize(
    ('scores', 'message'),
    [
        ('nonsense', 'is no JSON file'),
        ('{"a": 1}', 'holds no scores'),
        ('{"night_val/mIoU": 1, "model": "student"}', 'holds no scores'),
        (
            json.dumps({**SCORES, 'checkpoint': 'other/iter_9.pth'}),
            r'is of another file \(iter_9.pth\)',
        ),
        (json.dumps({**SCORES, 'content': 'a digest'}), r'is of another file \(run.pth\)'),
        (
            json.dumps({**SCORES, 'model': 'teacher'}),
            'is of the teacher, the folder of the student',
        ),
        (
            json.dumps({**SCORES, 'batch_norms': 'adabn'}),
            'with --batch-norms adabn: these statistics are not in model.safetensors',
        ),
    ],
)
def test_scores_of_something_else_are_refused(run, tmp_path, scores, message):
    (tmp_path / 'scores.json').write_text(scores)
    with pytest.raises(ConfigError, match=message):
        write_hub_folder(run, tmp_path / 'folder', scores=[tmp_path / 'scores.json'])
    assert not (tmp_path / 'folder').exists()


def test_scores_of_the_packages_own_network_are_taken(tmp_path):
    name = 'dsr_nss::protocol/source_nightscape.safetensors'
    scores = SCORES | {'checkpoint': name, 'content': content_digest(shipped_file(name))}
    (tmp_path / 'scores.json').write_text(json.dumps(scores))
    write_hub_folder(name, tmp_path / 'folder', scores=[tmp_path / 'scores.json'])
    assert 'of the student of source_nightscape.safetensors' in (
        (tmp_path / 'folder/README.md').read_text()
    )


def test_an_encoder_leaves_no_folder_of_half_a_network(tmp_path):
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / 'encoder.pth')
    with pytest.raises(ConfigError, match='a hub folder is of a segmentor'):
        write_hub_folder(tmp_path / 'encoder.pth', tmp_path / 'folder')
    assert not list((tmp_path / 'folder').iterdir())


@pytest.mark.parametrize('name', ['model.safetensors', 'config.py'])
def test_files_of_another_network_are_kept(run, tmp_path, name):
    (tmp_path / name).write_text('mine')
    with pytest.raises(ConfigError, match=f'{name} is there already'):
        write_hub_folder(run, tmp_path)
    assert (tmp_path / name).read_text() == 'mine'


def test_a_card_that_was_edited_is_kept(run, tmp_path):
    (tmp_path / 'README.md').write_text('mine')
    with pytest.raises(ConfigError, match='is there already'):
        write_hub_folder(run, tmp_path)
    assert (tmp_path / 'README.md').read_text() == 'mine'


def test_the_tool(run, run_tool, tmp_path, monkeypatch, capsys):
    call = partial(run_tool, 'convert_checkpoint', run)
    monkeypatch.chdir(tmp_path)
    assert call('a', '--hub', '--data', 'Five streets.') == 0
    said = capsys.readouterr().out
    assert 'checkpoint: a/model.safetensors' in said and said.endswith('card: a/README.md\n')
    assert 'Five streets.' in (tmp_path / 'a/README.md').read_text()
    config = (tmp_path / 'a/config.py').read_text()
    assert '/test.py config.py model.safetensors\n' in config and "'data/dark_zurich'" in config
    with pytest.raises(SystemExit):
        call('b', '--data', 'x')
    assert 'need --hub' in capsys.readouterr().err
