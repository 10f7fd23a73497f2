"""A checkpoint is tested and predicted with alone, by the network that it describes itself."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from dsr_nss.conversion.config import real_test_sets
from dsr_nss.conversion.own_config import own_config
from dsr_nss.errors import ConfigError
from tests.tiny_segmentor import make_segmentor


@pytest.fixture
def run(tmp_path, config_file):
    """A checkpoint that carries its config, as the runner writes it."""
    path = tmp_path / 'run.pth'
    config = Config.fromfile(str(config_file))
    config.test_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    meta = dict(iter=20, cfg=config.pretty_text)
    torch.save(dict(meta=meta, state_dict=make_segmentor(config_file).state_dict()), path)
    return path


@pytest.fixture
def tool(run_tool):
    """Runs a tool on the CPU."""
    return lambda *words: run_tool(*words, '--device', 'cpu', '--workers', 0)


def test_the_network_is_the_files_and_the_test_sets_are_not(run):
    config = own_config(run)
    assert config.model.backbone.base_channels == 4
    assert config.model.backbone.norm_cfg.type == 'BN'  # not SyncBN: it is ready to be loaded
    assert config.test_sets.to_dict() == real_test_sets()
    assert config.default_test_sets == ['dark_zurich_val']
    assert [step.type for step in config.test_pipeline] == ['LoadImageFromFile', 'PackSegInputs']


def test_other_classes_have_no_published_set(run, tmp_path):
    content = torch.load(run, weights_only=True)
    content['meta']['cfg'] = content['meta']['cfg'].replace('num_classes=19', 'num_classes=5')
    torch.save(content, tmp_path / 'five.pth')
    assert 'test_sets' not in own_config(tmp_path / 'five.pth')


def test_a_checkpoint_without_a_config_asks_for_one(checkpoint, tool, capsys):
    with pytest.raises(ConfigError, match='carries no config'):
        own_config(checkpoint)
    assert tool('test', checkpoint) == 2
    assert 'error: ' in (error := capsys.readouterr().err) and 'give the config of its run' in error


def test_a_folder_is_scored_as_with_the_config(tool, run, config_file, data_root, tmp_path, capsys):
    results = []
    overlay = tmp_path / 'slide.py'
    overlay.write_text(
        "model = dict(test_cfg=dict(mode='slide', crop_size=(16, 16), stride=(8, 8)))"
    )
    for config in ([config_file], []):
        for more in (
            [],
            ['--with', overlay],
            ['--cfg-options', 'model.data_preprocessor.mean=[0,0,0]'],
        ):
            code = tool(
                'test', *config, run, '--images', data_root / 'images', '--labels',
                data_root / 'labels', '--json', tmp_path / 'a.json', *more,
            )  # fmt: skip
            assert code == 0
            scores = json.loads((tmp_path / 'a.json').read_text())
            results.append({key: value for key, value in scores.items() if 'IoU' in key})
    assert results[:3] == results[3:]
    assert results[0] != results[1] != results[2] != results[0]
    assert 'published' not in capsys.readouterr().out


def test_published_sets_are_said_and_taken(tool, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # where there are none
    assert tool('test', run) == 2
    printed = capsys.readouterr()
    (line,) = printed.out.splitlines()
    assert line.startswith(f'{run} brings its network and no test sets; the published ones below')
    assert 'dark_zurich_val' in line and 'night_val,' in line
    assert 'data/dark_zurich' in printed.err


def test_images_are_predicted_as_with_the_config(tool, run, config_file, data_root, tmp_path):
    image = data_root / 'images/b/1.jpg'
    assert tool('infer', config_file, run, image, '--out', tmp_path / 'with') == 0
    assert tool('infer', run, image, '--out', tmp_path / 'without') == 0
    ids = [
        np.array(Image.open(tmp_path / out / 'labelTrainIds/1.png')) for out in ('with', 'without')
    ]
    assert np.array_equal(*ids) and ids[0].shape == Image.open(image).size[::-1]
    (tmp_path / 'folder').mkdir()
    run.rename(tmp_path / 'folder/iter_20.pth')
    again = [tmp_path / 'folder', image, '--out', tmp_path / 'without']
    assert tool('infer', *again) == 0  # its newest checkpoint is the same file
    run = tmp_path / 'folder/iter_20.pth'
    changed = ['--cfg-options', 'model.nothing=1']
    assert tool('infer', run, image, '--out', tmp_path / 'changed', *changed) == 2
