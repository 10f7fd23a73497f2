"""Files that are made to run code, to fetch an address or to fill the memory when they are used.

Each is converted and then tested as the documentation says. A canary shows whether code has run, a
listener and a count of connections whether anything was fetched.
"""

import copy
import functools
import sys

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from PIL import Image

from dsr_nss.conversion.convert import convert_checkpoint
from dsr_nss.conversion.report import describe_conversion, inspect_checkpoint
from dsr_nss.errors import CheckpointError, ConfigError, DataError
from dsr_nss.evaluation.evaluate import evaluate
from dsr_nss.inference.load import load_model, read_model_config

EXPLAINED = (ConfigError, CheckpointError, DataError, FileNotFoundError)
#: A network that its names do not tell, so that the saved config decides.
NETWORK = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[0.0] * 3, std=[1.0] * 3),
    backbone=dict(
        type='MixVisionTransformer', embed_dims=4, num_layers=[1] * 4, num_heads=[1, 2, 5, 8]
    ),
    decode_head=dict(
        type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1, num_classes=19,
        norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU'),
    ),
    test_cfg=dict(mode='whole'),
)  # fmt: skip
#: One that they tell.
OWN = dict(
    type='AdaptableEncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[0.0] * 3, std=[1.0] * 3),
    backbone=dict(type='MiT', arch='b0'),
    decode_head=dict(
        type='DAFormerHead', in_channels=[32, 64, 160, 256], channels=8, embed_channels=8,
        num_classes=19,
    ),
)  # fmt: skip


@functools.cache
def weights(own: bool = False) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return MODELS.build(copy.deepcopy(OWN if own else NETWORK)).state_dict()


@pytest.fixture
def attack(tmp_path, trap):
    """Writes a file with a config, converts and tests it; returns what was said and written."""

    def run(config=None, *, own=False, name='foreign.pth', meta=None, test=False, **options):
        saved = {} if config is None else {'model': OWN if own else NETWORK, **config}
        text = '\n'.join(f'{key} = {value!r}' for key, value in saved.items())
        meta = {'cfg': text.replace(': inf', ': 1e999'), **(meta or {})}
        torch.save(dict(state_dict=weights(own), meta=meta), tmp_path / name)
        path, checkpoint = tmp_path / 'out' / 'network.py', tmp_path / 'out' / 'network.pth'
        said = ''
        try:
            result = convert_checkpoint(tmp_path / name, checkpoint, config_out=path, **options)
            said = describe_conversion(result)
            read = read_model_config(path)
            load_model(read, checkpoint)
            if test:
                evaluate(read, checkpoint, device='cpu', workers=0)
        except EXPLAINED as error:
            said += str(error)
        finally:
            trap.assert_untouched()  # however it ended
        written = path.read_text() if path.is_file() else ''
        if checkpoint.is_file():
            written += torch.load(checkpoint, weights_only=True)['meta']['cfg']
        return said, written

    return run


def changed(node: dict, path: str, value) -> dict:
    """A copy with another value at a dotted path."""
    node = copy.deepcopy(node)
    inner = node
    *parents, last = path.split('.')
    for part in parents:
        inner = inner[part]
    inner[last] = value
    return node


# --- data sets ------------------------------------------------------------------------------------


def biomedical(trap) -> dict:
    """An image that is unpickled."""
    root = trap.folder.parent / 'images'
    root.mkdir(exist_ok=True)
    (root / '0.bin').write_bytes(trap.payload.read_bytes())
    Image.fromarray(np.zeros((64, 96), np.uint8)).save(root / '0.png')
    return dict(
        type='BaseSegDataset', data_root=str(root), img_suffix='.bin', seg_map_suffix='.png',
        data_prefix=dict(img_path='', seg_map_path=''),
        metainfo=dict(classes=['a'] * 19, palette=[[0, 0, 0]] * 19),
        pipeline=[
            dict(type='LoadBiomedicalImageFromFile', decode_backend='pickle'),
            dict(type='LoadAnnotations'), dict(type='PackSegInputs'),
        ],
    )  # fmt: skip


def decathlon(trap) -> dict:
    """A list of files that is fetched and unpickled."""
    return dict(type='DecathlonDataset', ann_file=trap.url('list.pkl'), pipeline=[])


def nested(trap) -> dict:
    return dict(type='RepeatDataset', times=1, dataset=decathlon(trap))


def listed(trap) -> dict:
    return dict(type='ConcatDataset', datasets=[decathlon(trap), biomedical(trap)])


def nested_pipeline(trap) -> dict:
    found = biomedical(trap)
    step = dict(type='RandomApply', prob=1.0, transforms=found['pipeline'][:1])
    return {**found, 'pipeline': [step, *found['pipeline'][1:]]}


def scoped(trap) -> dict:
    return {**decathlon(trap), '_scope_': 'mmengine'}


def class_path(trap) -> dict:
    return {**decathlon(trap), 'type': 'mmseg.DecathlonDataset'}


DATA_SETS = (decathlon, biomedical, nested, listed, nested_pipeline, scoped, class_path)


@pytest.mark.parametrize('data_set', DATA_SETS)
def test_no_data_set_is_taken_out_of_a_file(attack, trap, data_set):
    found = data_set(trap)
    said, written = attack(
        dict(
            test_sets=dict(x=found),
            default_test_sets=['x'],
            test_dataloader=dict(dataset=found),
            val_dataloader=dict(dataset=found),
        ),
        test=True,
    )
    assert 'data sets, training pipelines and hooks are never taken out of a file' in said
    assert str(trap.port) not in written and 'Biomedical' not in written and "'x'" not in written
    assert "type='DarkZurich'" in written


@pytest.mark.parametrize('own', [True, False])
def test_nothing_beside_the_network_is_taken(attack, trap, monkeypatch, own):
    module = trap.folder.parent / 'canary_module.py'
    module.write_text(f'import os\nos.mkdir({str(trap.folder)!r})\n')
    monkeypatch.syspath_prepend(str(module.parent))
    said, written = attack(
        dict(
            custom_imports=dict(imports=['canary_module'], allow_failed_imports=False),
            custom_hooks=[dict(type='canary_module.Hook')],
            default_hooks=dict(logger=dict(type='canary_module.Hook')),
            visualizer=dict(type='canary_module.Hook'),
            test_evaluator=dict(type='canary_module.Hook'),
            test_pipeline=[dict(type='canary_module.Hook')],
            default_scope='canary_module',
            load_from=trap.url('start.pth'),
            _base_=str(module),
        ),
        own=own,
        test=True,
    )
    assert written and 'canary' not in written and str(trap.port) not in written
    assert 'canary_module' not in sys.modules


# --- networks -------------------------------------------------------------------------------------


@pytest.mark.parametrize('partial', [False, True])
@pytest.mark.parametrize('address', ['url', 'file', 'checkpoint_path'])
def test_encoders_that_fetch_their_start_weights(attack, trap, partial, address):
    found = dict(type='TIMMBackbone', model_name='resnet18', pretrained=True)
    if address == 'checkpoint_path':
        found |= dict(pretrained=False, checkpoint_path=str(trap.payload))
    else:
        place = trap.url('a.pth') if address == 'url' else str(trap.payload)
        found['pretrained_cfg'] = {
            address: place, 'num_classes': 1000, 'input_size': (3, 224, 224), 'pool_size': (7, 7),
            'first_conv': 'conv1', 'classifier': 'fc',
        }  # fmt: skip
    said, written = attack(dict(model=changed(NETWORK, 'backbone', found)), partial=partial)
    assert "model.backbone names the type 'TIMMBackbone', no encoder of the list" in said
    assert '--config' in said and not written


CLASS_PATHS = ('os.system', 'builtins.exec', 'canary_module.Network', 'timm.create_model')
TYPED = (
    'type', 'backbone.type', 'decode_head.type', 'decode_head.norm_cfg.type',
    'decode_head.act_cfg.type', 'data_preprocessor.type',
)  # fmt: skip


@pytest.mark.parametrize('place', TYPED)
@pytest.mark.parametrize('kind', [*CLASS_PATHS, ['MiT'], dict(type='MiT'), 'mmseg::MiT', 'nn.ReLU'])
def test_types_that_are_not_on_the_list(attack, trap, place, kind):
    said, written = attack(dict(model=changed(NETWORK, place, kind)), partial=True)
    assert 'names the type ' in said and '--config' in said and not written


FORBIDDEN = (
    'checkpoint', 'checkpoint_path', 'checkpoint_file', 'pretrained_cfg', 'ann_file', 'data_root',
    'backend_args', 'file_client_args', 'decode_backend', 'custom_imports', '_base_', '_delete_',
    '_scope_', 'url', 'test_sets', 'pipeline', 'a{{$HOME:b}}',
)  # fmt: skip
PLACES = (
    '', 'data_preprocessor.', 'backbone.', 'decode_head.', 'decode_head.norm_cfg.',
    'decode_head.act_cfg.', 'test_cfg.',
)  # fmt: skip


@pytest.mark.parametrize('place', PLACES)
def test_fields_that_are_not_on_the_list(attack, trap, place):
    """None of them at any place, and nothing that stands in them."""
    for field in FORBIDDEN:
        said, written = attack(dict(model=changed(NETWORK, place + field, trap.url('a.pkl'))))
        where = f'model.{place}'.removesuffix('.')
        assert f'{where} has the field {field!r}, which is never taken' in said
        assert '--config' in said and not written


@pytest.mark.parametrize('partial', [False, True])
@pytest.mark.parametrize('field', ['pretrained', 'init_cfg'])
def test_start_weights_are_left_out_wherever_they_stand(attack, trap, field, partial):
    """Ordinary files of mmseg's zoo hold them, so they are no reason to refuse a file."""
    values = {
        'pretrained': (trap.url('a.pth'), 'open-mmlab://resnet50_v1c'),
        'init_cfg': (
            dict(type='Pretrained', checkpoint=str(trap.payload)),
            [dict(type='os.system', command='x'), dict(type='Pretrained')],
        ),
    }
    for value in values[field]:
        model = NETWORK
        for place in PLACES:
            model = changed(model, place + field, value)
        said, written = attack(dict(model=model), partial=partial)
        assert 'left out, as the weights are in the file: model.' in said and written
        assert all(f'model.{place}{field}' in said for place in PLACES)
        for text in (field, 'Pretrained', 'open-mmlab', 'os.system', str(trap.port)):
            assert text not in written


@pytest.mark.parametrize(
    'place, value',
    [
        ('decode_head.input_transform', '{{$HOME:x}}'),
        ('decode_head.input_transform', '/etc/passwd'),
        ('decode_head.in_index', 'https://nowhere.example'),
        ('decode_head.num_classes', 10**9),
        ('decode_head.num_classes', True),
        ('decode_head.channels', 10**6),
        ('decode_head.channels', 8.0),
        ('decode_head.dropout_ratio', 1e999),
        ('decode_head.align_corners', 'yes'),
        ('decode_head.in_channels', [[256]]),
        ('decode_head.norm_cfg', 'BN'),
        ('decode_head.norm_cfg', [dict(type='BN')]),
        ('decode_head', [NETWORK['decode_head']]),
        ('backbone.num_layers', [10**6] * 4),
        ('backbone.num_layers', [1] * 1000),
        ('backbone.embed_dims', -1),
        ('backbone', None),
        ('test_cfg.mode', 'eval'),
        ('test_cfg.stride', (1, 1)),
        ('data_preprocessor.size', (10**6, 10**6)),
        ('data_preprocessor.std', [0.0, 0.0, 0.0]),
        ('auxiliary_head', [[NETWORK['decode_head']]]),
        ('neck', dict(type='MultiLevelNeck')),
    ],
)
def test_values_that_no_network_here_has(attack, trap, place, value):
    said, written = attack(dict(model=changed(NETWORK, place, value)), partial=True)
    assert f'model.{place}' in said and '--config' in said and not written


def test_a_network_that_would_fill_the_memory(attack, trap):
    """Each number is one that a network may have; together they are 1,000 times MiT-B5."""
    huge = changed(NETWORK, 'backbone.embed_dims', 8192)
    huge['backbone'] |= dict(num_layers=[2, 2, 2, 2], num_heads=[1, 1, 1, 2])
    said, written = attack(dict(model=huge), partial=True)
    assert 'it describes a network of ' in said and not written


def test_a_config_of_endless_text_or_depth(attack, trap):
    for text in ('a = 1\n' * 400_000, 'a = ' + '-' * 100_000 + '1', 'a = ' + '[' * 90 + ']' * 90):
        said, written = attack(meta=dict(cfg=text))
        assert 'foreign.pth' in said and not written


def test_the_network_is_told_from_its_names_where_its_config_is_refused(attack, trap):
    evil = changed(OWN, 'backbone', dict(type='TIMMBackbone', model_name='x', pretrained=True))
    said, written = attack(dict(model=evil), own=True)
    assert 'note: the network was told from the names in the file: the config in' in said
    assert "type='MiT'" in written and 'TIMM' not in written


# --- text that ends up in files and on the screen ------------------------------------------------


def test_a_file_name_with_a_template_becomes_no_code(attack, trap, monkeypatch):
    """mmengine replaces templates before it runs a config: these would end the docstring."""
    monkeypatch.chdir(trap.folder.parent)
    quotes = '{{$NO_SUCH:""}}' * 3
    name = f"a{quotes}\nimport os; os.mkdir('CANARY')\nx = {quotes}.pth"
    said, written = attack({}, name=name)
    assert written and '{{' not in written


@pytest.mark.parametrize(
    'names',
    [
        ('a\x1b[2Jb',) * 19,
        ('road\nmIoU 99',) * 19,
        ('\u202egnp.exe',) * 19,
        ('a' * 1000,) * 19,
        ('',) * 19,
        (1,) * 19,
        'abcdefghijklmnopqrs',
        {str(i): i for i in range(19)},
        19,
    ],
)
def test_class_names_that_are_none(attack, trap, names):
    for meta in (dict(CLASSES=names), dict(dataset_meta=dict(classes=names))):
        said, written = attack({}, meta=meta)
        assert 'the class names in the checkpoint are no short printable names' in said
        assert '\x1b' not in said and not written


@pytest.mark.parametrize('palette', [[[0, 0, 999]] * 19, [[0, 0]] * 19, 'red', [[0, 0, 0]], 7])
def test_colours_that_are_none(attack, trap, palette):
    names = tuple(f'class {i}' for i in range(19))
    said, written = attack({}, meta=dict(dataset_meta=dict(classes=names, palette=palette)))
    assert 'the palette in the checkpoint does not hold 19 colours' in said and not written


def test_names_of_weights_that_a_terminal_would_obey(tmp_path, trap):
    for name in ('backbone.\x1b]0;owned\x07', 'backbone.a\nb', 'backbone.' + 'a' * 1000):
        torch.save(dict(state_dict={**weights(), name: torch.zeros(1)}), tmp_path / 'a.pth')
        with pytest.raises(CheckpointError, match='which no network does; it was refused') as error:
            convert_checkpoint(tmp_path / 'a.pth', tmp_path / 'b.pth')
        assert str(error.value).isprintable()


def test_what_inspection_prints(tmp_path, trap):
    """Other keys and values of a file are printed as they are, but for what a terminal obeys."""
    meta = dict(experiment_name='\x1b[31mred\x9b', dataset_meta=['no', 'dict'], CLASSES=7)
    content = {'state_dict': weights(), 'meta': meta, '\x1b[2J': 1}
    torch.save(content, tmp_path / 'a.pth')
    text = inspect_checkpoint(tmp_path / 'a.pth')
    assert r'experiment_name: \x1b[31mred\x9b' in text
    assert text.replace('\n', '').isprintable()
