"""Small networks and published references for the tests of segmentors."""

import importlib.util
from pathlib import Path
from types import ModuleType

from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS

import dsr_nss  # noqa: F401

MIT_B0 = [32, 64, 160, 256]


def head_config(channels: int = 16, classes: int = 19, **fields) -> dict:
    return dict(
        type='DAFormerHead',
        in_channels=MIT_B0,
        channels=channels,
        embed_channels=channels,
        num_classes=classes,
        **fields,
    )


def hrda_head_config(channels: int = 16, classes: int = 19, **fields) -> dict:
    return dict(
        type='HRDAHead',
        head=head_config(channels, classes),
        scale_attention=head_config(channels, classes, fusion='conv1x1'),
        **fields,
    )


def build_hrda(channels: int = 16, test_cfg: dict | None = None, **fields) -> EncoderDecoder:
    return MODELS.build(
        dict(
            type='HRDAEncoderDecoder',
            backbone=dict(type='MiT', arch='b0'),
            decode_head=hrda_head_config(channels, **fields),
            test_cfg=test_cfg,
        )
    )


def build_single_scale(channels: int = 16, test_cfg: dict | None = None) -> EncoderDecoder:
    return MODELS.build(
        dict(
            type='AdaptableEncoderDecoder',
            backbone=dict(type='MiT', arch='b0'),
            decode_head=head_config(channels),
            test_cfg=test_cfg,
        )
    )


#: Channels of the four maps of a ResNet whose first stage has 64.
RESNET = {18: [64, 128, 256, 512], 101: [256, 512, 1024, 2048]}


def deeplabv2_config(depth: int = 18, width: int = 64) -> dict:
    """`width`: channels of the stem and, without expansion, of the first stage."""
    return dict(
        type='AdaptableEncoderDecoder',
        backbone=dict(
            type='ResNetEncoder',
            depth=depth,
            deep_stem=True,
            stem_channels=width,
            base_channels=width,
            strides=(1, 2, 1, 1),
            dilations=(1, 1, 2, 4),
        ),
        decode_head=dict(
            type='DeepLabV2Head', in_channels=RESNET[depth][-1] * width // 64, num_classes=19
        ),
    )


def refinenet_config(depth: int = 18, width: int = 64) -> dict:
    """Paths of 4 x `width` channels as published, the coarsest of 8 x `width`."""
    return dict(
        type='AdaptableEncoderDecoder',
        backbone=dict(type='ResNetEncoder', depth=depth, stem_channels=width, base_channels=width),
        decode_head=dict(
            type='RefineNetHead',
            in_channels=[channels * width // 64 for channels in RESNET[depth]],
            channels=4 * width,
            coarsest_channels=8 * width,
            num_classes=19,
        ),
    )


def load_fill(shared: Path) -> ModuleType:
    """The module that rebuilds the weights and inputs of the references."""
    path = shared / 'reference' / 'parity' / 'fill.py'
    spec = importlib.util.spec_from_file_location('parity_fill', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
