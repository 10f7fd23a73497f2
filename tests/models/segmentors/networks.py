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


def load_fill(shared: Path) -> ModuleType:
    """The module that rebuilds the weights and inputs of the references."""
    path = shared / 'reference' / 'parity' / 'fill.py'
    spec = importlib.util.spec_from_file_location('parity_fill', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
