"""The list of what is taken out of a file's config: it is true, and it holds what is promised."""

import re
import sys

import pytest
from mmseg.registry import MODELS

from dsr_nss.checkpoints.allowed_kinds import START_FIELDS, TRAINING_FIELDS
from dsr_nss.checkpoints.allowed_networks import ALLOWED, allowed_segmentor, allowed_steps
from dsr_nss.checkpoints.config_data import parse_config
from dsr_nss.engine.config import accepted_fields, read_config
from dsr_nss.errors import ConfigError
from dsr_nss.inference.saved_network import for_loading, shapes_of
from dsr_nss.models.initialise import loads_unasked

PREPROCESSOR = dict(type='SegDataPreProcessor', mean=[1.0] * 3, std=[2.0] * 3, size=(64, 64))
RESNET = dict(type='ResNetV1c', depth=50, base_channels=8, stem_channels=8)
WIDTHS = [32, 64, 128, 256]


def zoo(backbone, head, **fields):
    """A config as mmseg's published files hold it, with everything that matters in training."""
    loss = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)
    common = dict(
        channels=16, dropout_ratio=0.1, num_classes=19, norm_cfg=dict(type='SyncBN'),
        align_corners=False, loss_decode=loss, sampler=dict(type='OHEMPixelSampler'),
    )  # fmt: skip
    auxiliary = dict(common, type='FCNHead', in_channels=WIDTHS[2], in_index=2, num_convs=1)
    return dict(
        type='EncoderDecoder',
        data_preprocessor=PREPROCESSOR,
        pretrained='open-mmlab://resnet50_v1c',
        backbone=dict(
            norm_cfg=dict(type='SyncBN', requires_grad=True), norm_eval=False, with_cp=False,
            **backbone,
        ),
        decode_head={**common, **head},
        auxiliary_head=[auxiliary],
        train_cfg=dict(),
        test_cfg=dict(mode='slide', crop_size=(64, 64), stride=(32, 32)),
        **fields,
    )  # fmt: skip


HEADS = (
    dict(type='FCNHead', in_channels=256, in_index=3, num_convs=2, kernel_size=3),
    dict(type='PSPHead', in_channels=256, in_index=3, pool_scales=(1, 2, 3, 6)),
    dict(type='ASPPHead', in_channels=256, in_index=3, dilations=(1, 12, 24, 36)),
    dict(
        type='DepthwiseSeparableASPPHead', in_channels=256, in_index=3, c1_in_channels=32,
        c1_channels=8, dilations=(1, 12, 24, 36),
    ),
    dict(type='UPerHead', in_channels=WIDTHS, in_index=[0, 1, 2, 3], pool_scales=(1, 2, 3, 6)),
    dict(type='SegformerHead', in_channels=WIDTHS, in_index=[0, 1, 2, 3]),
    dict(type='DepthwiseSeparableFCNHead', in_channels=256, in_index=3, concat_input=False),
)  # fmt: skip


@pytest.mark.parametrize('head', HEADS, ids=lambda head: head['type'])
@pytest.mark.parametrize('kind', ['ResNet', 'ResNetV1c', 'ResNetV1d', 'ResNeXt'])
def test_networks_of_mmsegs_zoo(head, kind):
    found, left_out = allowed_segmentor(zoo({**RESNET, 'type': kind}, head), 'x')
    assert left_out == ['model.pretrained']
    assert not {'loss_decode', 'sampler', 'train_cfg', 'with_cp'} & set(
        re.findall(r'\w+', str(found))
    )
    assert len(shapes_of(for_loading(found))) > 100


@pytest.mark.parametrize(
    'backbone, head',
    [
        (
            dict(type='MobileNetV2', out_indices=(1, 2, 4, 6), strides=(1, 2, 2, 1, 1, 1, 1)),
            dict(type='FCNHead', in_channels=320, in_index=3),
        ),
        (
            dict(type='UNet', base_channels=8, upsample_cfg=dict(type='InterpConv')),
            dict(type='FCNHead', in_channels=8, in_index=4),
        ),
    ],
)
def test_other_encoders(backbone, head):
    found, _ = allowed_segmentor(zoo(backbone, head), 'x')
    assert shapes_of(for_loading(found))


def test_a_neck():
    neck = dict(type='FPN', in_channels=WIDTHS, out_channels=16, num_outs=4)
    head = dict(
        type='FPNHead', in_channels=[16] * 4, in_index=[0, 1, 2, 3], feature_strides=[4, 8, 16, 32]
    )
    found, _ = allowed_segmentor(zoo(RESNET, head, neck=neck), 'x')
    assert any(name.startswith('neck.') for name in shapes_of(for_loading(found)))


def test_every_network_of_our_configs(repo_root):
    folders = ('_base_', 'ablations', 'rows')  # these are no whole configs
    files = (repo_root / 'configs').rglob('*.py')
    paths = [path for path in files if not {*folders} & {*path.parts}]
    seen = set()
    for path in paths:
        config = read_config(path)
        student = config.model.get('student')
        if student is None or str(student) in seen:
            continue  # an alignment network, or the network of another config
        seen.add(str(student))
        saved = parse_config(config.pretty_text, str(path))['model']  # formatting it is slow
        model = {**saved['student'], 'data_preprocessor': saved['data_preprocessor']}
        found = for_loading(allowed_segmentor(model, str(path))[0])
        assert shapes_of(found).keys() == shapes_of(for_loading(model)).keys()
    assert len(seen) >= 8


def test_the_fields_of_the_table_are_fields_of_the_classes():
    """Were one misspelt, it would refuse good files."""
    groups = ('segmentor', 'preprocessor', 'encoder', 'neck', 'head', 'single-scale head')
    for group in groups:
        for name, kind in ALLOWED[group].items():
            known = accepted_fields(MODELS.get(name))
            assert known is None or kind.fields.keys() <= known, name
            assert not set(kind.fields) & {*TRAINING_FIELDS, *START_FIELDS}


def test_an_encoder_that_loads_by_default_is_told_not_to():
    names = {name for name in MODELS.module_dict if loads_unasked(name)}
    assert names == {'EfficientNetLite0', 'EfficientNetLite2', 'TIMMBackbone'}
    for name in names:
        found = for_loading(dict(type=name, pretrained=True, pretrained_cfg=dict(url='x')))
        assert found == dict(type=name, pretrained=False)


def test_to_ask_for_a_name_imports_nothing(tmp_path, monkeypatch):
    (tmp_path / 'named_in_a_file.py').write_text('class Encoder:\n    pass\n')
    monkeypatch.syspath_prepend(tmp_path)
    for_loading(dict(type='EncoderDecoder', backbone=dict(type='named_in_a_file.Encoder')))
    assert 'named_in_a_file' not in sys.modules


def test_a_foundation_encoder_by_its_listed_name_alone():
    """timm takes addresses for names, and the encoder fetches weights when it is asked to."""
    encoder = dict(type='TimmViT', model_name='vit_small_patch14_dinov2', pretrained='hub')
    head = dict(type='LightHead', in_channels=384, num_classes=19)
    model = dict(
        type='EncoderDecoder', data_preprocessor=PREPROCESSOR, backbone=encoder, decode_head=head
    )
    found, left_out = allowed_segmentor(model, 'x')
    assert found['backbone'] == {k: v for k, v in encoder.items() if k != 'pretrained'}
    assert left_out == ['model.backbone.pretrained']
    for name in ('hf-hub:someone/network', 'local-dir:/tmp/x', 'resnet18', 'vit_small_patch16_224'):
        encoder['model_name'] = name
        with pytest.raises(ConfigError, match='model.backbone.model_name is .* not one of'):
            allowed_segmentor(model, 'x')


def test_the_message_names_field_and_way_out():
    model = zoo(RESNET, HEADS[0])
    model['auxiliary_head'][0]['channels'] = 0
    with pytest.raises(ConfigError) as error:
        allowed_segmentor(model, 'the config in a.pth')
    assert str(error.value) == (
        'the config in a.pth was refused: model.auxiliary_head[0].channels is 0, not a whole '
        'number in 1..8192. Give a config of your own: --config, in Python config='
    )


def test_test_pipelines_may_load_resize_and_pack():
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(960, 540), keep_ratio=True),
        dict(type='Resize', scale_factor=0.5),
        dict(type='PackSegInputs'),
    ]
    assert allowed_steps(steps, 'it') == steps


@pytest.mark.parametrize(
    'step',
    [
        dict(type='LoadBiomedicalImageFromFile', decode_backend='pickle'),
        dict(type='LoadImageFromFile', backend_args=dict(backend='petrel')),
        dict(type='mmcv.transforms.Resize', scale=(1, 1)),
        dict(type='Resize', scale='http://x'),
        dict(type='Resize', scale=(10**9, 10**9)),
        'LoadImageFromFile',
    ],
)
def test_other_steps_are_refused(step):
    with pytest.raises(ConfigError, match=r'it was refused: test_pipeline\[1\]'):
        allowed_steps([dict(type='LoadImageFromFile'), step], 'it')
