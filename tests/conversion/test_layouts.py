"""Layouts are told apart by names alone."""

import json

import pytest
import torch

from dsr_nss.checkpoints import CheckpointError
from dsr_nss.conversion import convert_lhoyer, convert_segformer
from dsr_nss.conversion.layouts import LAYOUT_NAMES, detect_layout

#: Some names of a file -> its layout and kind.
FILES = {
    'student.backbone.norm1.weight': ('run', 'segmentor'),
    'm_head.conv_seg.bias': ('dsrnss', 'segmentor'),
    'backbone.clf_conv.weight': ('dsrnss', 'segmentor'),
    'hrda_scale_attention.linear_c1.proj.bias': ('dsrnss', 'segmentor'),
    'decode_head.linear_c4.proj.weight': ('segformer', 'segmentor'),
    'model.decode_head.conv_seg.bias': ('hrda', 'segmentor'),
    'decode_head.scale_attention.conv_seg.bias': ('hrda', 'segmentor'),
    'decode_head.head.conv_seg.bias': ('hrda', 'segmentor'),
    'decode_head.embed_layers.0.proj.bias': ('hrda', 'segmentor'),
    'backbone.layers.0.0.projection.weight': ('mmseg', 'segmentor'),
    'alignment_head.reduce.bias': ('uawarpc', 'aligner'),
    'decoder4.conv_0.conv.weight': ('uawarpc', 'aligner'),
    'network.head.decoder4.conv0.conv.weight': ('uawarpc', 'aligner'),
    'patch_embed1.proj.weight': ('segformer', 'encoder'),
    'layers.0.0.projection.weight': ('mmseg', 'encoder'),
    'stem.0.weight': ('mmseg', 'encoder'),
    'layer1.0.conv1.weight': ('torchvision', 'encoder'),
    'features.0.weight': ('torchvision', 'encoder'),
}


@pytest.mark.parametrize('name', FILES)
def test_detection(name):
    layout = detect_layout([name, 'head.weight'] if 'patch' in name else [name])
    assert (layout.name, layout.kind) == FILES[name]


@pytest.mark.parametrize(
    'keys, name',
    [
        ('hrda_mit_b5', 'dsrnss'),
        ('daformer_mit_b5', 'dsrnss'),
        ('deeplabv2_r101', 'dsrnss'),
        ('refinenet_r101', 'dsrnss'),
        ('alignment', 'uawarpc'),
        ('lhoyer_hrda_mit_b5', 'hrda'),
    ],
)
def test_published_key_lists(shared_dir, keys, name):
    """Every entry of the published files belongs to a known part."""
    path = shared_dir / 'reference' / 'keys' / f'{keys}.keys.json'
    names = list(json.loads(path.read_text()))
    layout = detect_layout(names)
    assert layout.name == name
    assert all(layout.part_of(entry) for entry in names)


def test_insisting():
    whole = ['backbone.norm1.weight', 'head.conv_seg.bias', 'alignment_head.reduce.bias']
    assert detect_layout(whole).name == 'dsrnss'
    assert detect_layout(whole, 'refign').name == 'dsrnss'
    assert detect_layout(whole, 'uawarpc').name == 'uawarpc'
    assert detect_layout(['student.backbone.x'], 'mmseg').name == 'run'
    assert detect_layout(['model.backbone.x'], 'mic').name == 'hrda'
    with pytest.raises(CheckpointError, match='not the layout torchvision: .* fit DSR-NSS'):
        detect_layout(whole, 'torchvision')
    with pytest.raises(CheckpointError, match='not the layout hrda: its entries fit none that is'):
        detect_layout(['w'], 'hrda')
    with pytest.raises(CheckpointError, match='no known layout; its names begin with a, b'):
        detect_layout(['a.x', 'a.y', 'b'])
    with pytest.raises(ValueError, match='must be .auto. or one of'):
        detect_layout(whole, 'run')
    assert set(LAYOUT_NAMES) == {
        'dsrnss', 'refign', 'hrda', 'mic', 'daformer', 'mmseg', 'segformer', 'torchvision',
        'uawarpc', 'dinov2', 'dinov3', 'timm', 'transformers', 'vfm-uda', 'vfm-uda-plusplus',
    }  # fmt: skip


def test_parts_by_the_longest_prefix():
    layout = detect_layout(['student.backbone.x'])
    assert layout.part_of('teacher.model.backbone.x') == 'teacher'
    assert layout.part_of('teacher.steps') == 'the rest of the training state'
    layout = detect_layout(['model.backbone.x'])
    assert layout.part_of('mic.teacher.x') == "MIC's teacher of masked images"
    assert layout.part_of('optimizer.x') is None


def test_names_of_the_segformer_head():
    state = {
        'backbone.norm1.weight': torch.ones(1),
        'decode_head.linear_c2.proj.bias': torch.ones(2),
        'decode_head.linear_fuse.conv.weight': torch.arange(8.0).view(1, 8, 1, 1),
        'decode_head.gate.bias': torch.ones(3),
    }
    converted = convert_segformer(state)
    assert list(converted) == [
        'backbone.norm1.weight', 'decode_head.embed_layers.1.proj.bias',
        'decode_head.fuse_layer.conv.weight', 'decode_head.gate.bias',
    ]  # fmt: skip
    assert converted['decode_head.fuse_layer.conv.weight'].flatten().tolist() == [
        6, 7, 4, 5, 2, 3, 0, 1
    ]  # fmt: skip


def test_deeplabv2_of_the_daformer_repository():
    name = 'ema_model.decode_head.aspp_modules.3.conv.weight'
    assert list(convert_lhoyer({name: torch.ones(1)}, 'teacher')) == [
        'decode_head.branches.3.weight'
    ]
