"""Checkpoints in the DSR-NSS authors' layout."""

import json

import pytest
import torch
from mmseg.registry import MODELS

from dsr_nss.checkpoints import CheckpointError, load_strictly
from dsr_nss.conversion import convert_dsrnss
from tests.models.segmentors.networks import (
    build_hrda,
    build_single_scale,
    deeplabv2_config,
    load_fill,
    refinenet_config,
)

DAFORMER_B5 = dict(
    type='AdaptableEncoderDecoder',
    backbone=dict(type='MiT', arch='b5'),
    decode_head=dict(type='DAFormerHead', in_channels=[64, 128, 320, 512], num_classes=19),
)


def test_hrda_fits_exactly(shared_dir):
    keys = shared_dir / 'reference' / 'keys' / 'hrda_mit_b0.keys.json'
    checkpoint = load_fill(shared_dir).state_dict_from_json(keys)
    model = build_hrda(channels=256)
    for network, prefix in (('student', ''), ('teacher', 'm_')):
        load_strictly(model, convert_dsrnss(checkpoint, network), network)
        head = model.decode_head
        assert torch.equal(head.head.conv_seg.bias, checkpoint[f'{prefix}head.conv_seg.bias'])
        theirs = checkpoint[f'{prefix}hrda_scale_attention.linear_fuse.conv.weight']
        ours = head.scale_attention.fuse_layer.conv.weight
        # Their first 256 input channels are the coarsest level, our last.
        assert torch.equal(ours[:, 768:], theirs[:, :256])
        assert torch.equal(ours[:, 256:512], theirs[:, 512:768])


def test_daformer_fits_without_attention(shared_dir):
    model = build_single_scale(channels=256)
    names = model.state_dict()
    checkpoint = {
        name.replace('decode_head.', 'head.'): torch.randn_like(value.float()).to(value.dtype)
        for name, value in names.items()
    }
    converted = convert_dsrnss({**checkpoint, 'alignment_head.x': torch.zeros(1)})
    load_strictly(model, converted, 'daformer')
    assert torch.equal(model.decode_head.conv_seg.bias, checkpoint['head.conv_seg.bias'])


@pytest.mark.parametrize('network', ['student', 'teacher'])
@pytest.mark.parametrize(
    'name, config',
    [
        ('daformer_mit_b5', DAFORMER_B5),
        ('deeplabv2_r101', deeplabv2_config(101)),
        ('refinenet_r101', refinenet_config(101)),
    ],
    ids=['daformer', 'deeplabv2', 'refinenet'],
)
def test_the_single_scale_networks_fit_exactly(shared_dir, name, config, network):
    """Names and shapes of the whole published file, without memory for the weights."""
    published = json.loads((shared_dir / 'reference' / 'keys' / f'{name}.keys.json').read_text())
    with torch.device('meta'):
        checkpoint = {key: torch.empty(shape) for key, (shape, _) in published.items()}
        own = MODELS.build(config).state_dict()
    converted = convert_dsrnss(checkpoint, network)
    assert {k: v.shape for k, v in converted.items()} == {k: v.shape for k, v in own.items()}


def test_the_refinenet_decoder_is_mapped_by_place(shared_dir):
    """Equal shapes do not tell the places apart; the names must."""
    keys = shared_dir / 'reference' / 'keys' / 'refinenet_r101.keys.json'
    checkpoint = load_fill(shared_dir).state_dict_from_json(keys, ('backbone.',))
    converted = convert_dsrnss(checkpoint)
    for theirs, ours in {
        'p_ims1d2_outl2_dimred': 'paths.2.reduce',
        'adapt_stage4_b.0.2_conv_relu_varout_dimred': 'paths.0.adapt.1.conv2',
        'adapt_stage3_b2_joint_varout_dimred': 'paths.1.fusion.fine',
        'mflow_conv_g3_b3_joint_varout_dimred': 'paths.0.fusion.coarse',
        'mflow_conv_g2_pool.0.4_outvar_dimred': 'paths.2.pooling.convs.3',
        'mflow_conv_g1_b.0.3_conv': 'paths.3.output.2.conv1',
    }.items():
        expected = checkpoint[f'backbone.{theirs}.weight']
        assert torch.equal(converted[f'decode_head.{ours}.weight'], expected)
    assert len(converted) == len(checkpoint)


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="must be 'student' or 'teacher', got 'imnet'"):
        convert_dsrnss({}, 'imnet')
    with pytest.raises(CheckpointError, match=r'no entries of the teacher \(m_backbone'):
        convert_dsrnss({'backbone.norm1.weight': torch.zeros(1)}, 'teacher')


def test_unknown_names_are_left_for_the_report():
    converted = convert_dsrnss({'hrda_scale_attention.gate.bias': torch.zeros(1)})
    assert list(converted) == ['decode_head.scale_attention.gate.bias']
    names = ['backbone.clf_conv.weight', 'backbone.gate.bias']
    converted = convert_dsrnss({name: torch.zeros(1) for name in names})
    assert list(converted) == ['decode_head.conv_seg.weight', 'backbone.gate.bias']
