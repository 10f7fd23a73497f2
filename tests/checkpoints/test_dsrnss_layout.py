"""Checkpoints in the DSR-NSS authors' layout."""

import pytest
import torch

from dsr_nss.checkpoints import CheckpointError, convert_dsrnss, load_strictly
from tests.models.segmentors.networks import build_hrda, build_single_scale, load_fill


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


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="must be 'student' or 'teacher', got 'imnet'"):
        convert_dsrnss({}, 'imnet')
    with pytest.raises(CheckpointError, match=r'no entries of the teacher \(m_backbone'):
        convert_dsrnss({'backbone.norm1.weight': torch.zeros(1)}, 'teacher')
    with pytest.raises(CheckpointError, match="unknown name 'hrda_scale_attention.gate.bias'"):
        convert_dsrnss({'hrda_scale_attention.gate.bias': torch.zeros(1)})
