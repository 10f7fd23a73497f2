"""Widths of heads that a config leaves out."""

import pytest
from mmengine.config import Config
from mmseg.registry import MODELS

from dsr_nss.engine.encoder_widths import check_widths, fill_widths
from dsr_nss.errors import ConfigError

RESNET = dict(type='ResNetEncoder', depth=18, base_channels=8, stem_channels=8)


def student(backbone, head, **fields):
    fields = dict(type='AdaptableEncoderDecoder', backbone=backbone, decode_head=head, **fields)
    return Config(dict(model=dict(type='SourceOnly', student=fields)))


@pytest.mark.parametrize(
    ('backbone', 'head', 'expected'),
    [
        (dict(type='MiT', arch='b0'), dict(type='DAFormerHead'), [32, 64, 160, 256]),
        (RESNET, dict(type='RefineNetHead'), [8, 16, 32, 64]),
        (RESNET, dict(type='DeepLabV2Head'), 64),
        (RESNET, dict(type='DeepLabV2Head', in_index=1), 16),
        (RESNET, dict(type='SegformerHead', in_index=[0, 3], channels=8), [8, 64]),
    ],
)
def test_in_channels_follow_from_the_encoder(backbone, head, expected):
    config = student(backbone, head)
    fill_widths(config)
    assert config.model.student.decode_head.in_channels == expected


def test_every_head_of_hrda_and_a_neck():
    attention = dict(type='DAFormerHead', fusion='conv1x1')
    head = dict(type='HRDAHead', head=dict(type='DAFormerHead'), scale_attention=attention)
    config = student(dict(type='MiT', arch='b0'), head)
    fill_widths(config)
    widths = [config.model.student.decode_head[part].in_channels for part in head if part != 'type']
    assert widths == [[32, 64, 160, 256]] * 2
    assert 'in_channels' not in config.model.student.decode_head
    neck = dict(type='FPN', in_channels=[8, 16, 32, 64], out_channels=12, num_outs=4)
    config = student(RESNET, dict(type='DAFormerHead', num_classes=2), neck=neck)
    fill_widths(config)
    assert MODELS.build(config.model.student.decode_head).in_channels == [12] * 4


def test_stated_widths_are_left_alone_and_the_encoder_is_not_asked():
    config = student(dict(type='Nothing'), dict(type='DAFormerHead', in_channels=[1, 2, 3, 4]))
    fill_widths(config)
    assert config.model.student.decode_head.in_channels == [1, 2, 3, 4]


def test_what_cannot_be_told():
    with pytest.raises(ConfigError, match='from the encoder Nothing .*; state them'):
        fill_widths(student(dict(type='Nothing'), dict(type='DAFormerHead')))
    head = dict(type='DeepLabV2Head', in_index=4)
    with pytest.raises(ConfigError, match=r'decode_head\.in_index is 4, but .* gives 4 maps'):
        fill_widths(student(RESNET, head))


def test_stated_widths_of_another_encoder_are_refused_before_the_run():
    head = dict(type='HRDAHead', head=dict(type='DAFormerHead', in_channels=[64, 128, 320, 512]))
    head['scale_attention'] = dict(type='DAFormerHead', in_channels=(32, 64, 160, 256))
    config = student(dict(type='MiT', arch='b0'), head)
    with pytest.raises(ConfigError) as info:
        check_widths(config)
    (problem,) = str(info.value).splitlines()
    assert problem.startswith('model.student.decode_head.head.in_channels is [64, 128, 320, 512]')
    assert 'the maps of the encoder have [32, 64, 160, 256] channels' in problem
    config.model.student.decode_head.head.in_channels = [32, 64, 160, 256]
    check_widths(config)
    config.model.student.decode_head = dict(type='DeepLabV2Head', in_channels=512)
    with pytest.raises(ConfigError, match='in_channels is 512, but .* have 256 channels'):
        check_widths(config)
    config.model.student.backbone.type = 'Nothing'  # building it says what is wrong
    check_widths(config)


def test_prototypes_on_a_map_that_is_not_there():
    """The step would notice it where prototype alignment starts, after a quarter of the run."""
    config = student(RESNET, dict(type='DAFormerHead', in_channels=[8, 16, 32, 64]))
    config.model.alignment = dict(type='FPALoss', start=10000, feature_level=3)
    check_widths(config)
    for level in (4, -5):
        config.model.alignment.feature_level = level
        with pytest.raises(ConfigError, match=rf'feature_level is {level}, but .* gives 4 map'):
            check_widths(config)
