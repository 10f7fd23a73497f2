"""DAFormerHead: names, fusion variants, options."""

import json

import pytest
import torch
from torch import nn

from dsr_nss.models.decode_heads import DAFormerHead
from dsr_nss.models.decode_heads.daformer import LevelEmbedding
from tests.models.segmentors.networks import MIT_B0, head_config


def features(batch=2, base=16):
    return [torch.randn(batch, c, base >> i, base >> i) for i, c in enumerate(MIT_B0)]


def build(**fields):
    config = head_config(**fields)
    config.pop('type')
    return DAFormerHead(**config)


@pytest.mark.parametrize('fusion, part', [('aspp', 'head'), ('conv1x1', 'scale_attention')])
def test_names_and_shapes_are_the_published_ones(shared_dir, fusion, part):
    path = shared_dir / 'reference' / 'keys' / 'lhoyer_hrda_mit_b0.keys.json'
    prefix = f'decode_head.{part}.'
    expected = {
        name.removeprefix(prefix): shape
        for name, (shape, _) in json.loads(path.read_text()).items()
        if name.startswith(prefix)
    }
    own = {n: list(v.shape) for n, v in build(channels=256, fusion=fusion).state_dict().items()}
    assert own == expected


@pytest.mark.parametrize('fusion', ['aspp', 'conv1x1'])
def test_output(fusion):
    logits = build(channels=8, classes=5, fusion=fusion)(features())
    assert logits.shape == (2, 5, 16, 16)
    logits.sum().backward()


def test_every_level_counts():
    head, maps = build().eval(), features()
    before = head(maps)
    for level in range(4):
        changed = [x + (i == level) for i, x in enumerate(maps)]
        assert not torch.allclose(head(changed), before)


def test_dilations_and_norms():
    head = build(dilations=(1, 2, 3))
    modules = head.fuse_layer.aspp_modules
    assert [len(modules), modules[2].depthwise_conv.conv.dilation] == [3, (3, 3)]
    assert all(m.eps == 1e-5 for m in head.modules() if isinstance(m, nn.BatchNorm2d))
    groups = build(norm_cfg=dict(type='GN', num_groups=4))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in groups.modules())


def test_dropout_acts_in_training_alone():
    head, maps = build(dropout_ratio=0.5), features()
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    assert not torch.equal(head.train()(maps), head(maps))
    assert torch.equal(head.eval()(maps), head(maps))


def test_embedding_is_a_linear_layer_a_position():
    embed, x = LevelEmbedding(3, 5), torch.randn(2, 3, 4, 6)
    assert torch.allclose(embed(x)[1, :, 2, 3], embed.proj(x[1, :, 2, 3]), atol=1e-6)


def test_unknown_fusion():
    with pytest.raises(ValueError, match="fusion must be one of .*, got 'sum'"):
        build(fusion='sum')


def test_on_a_cpu_wide_convolutions_see_planes():
    """Channels-last maps, as encoders of tokens give them, cost them many times as much."""
    head = DAFormerHead([4, 8], channels=4, embed_channels=4, num_classes=3)
    convolutions = [
        module for module in head.modules() if isinstance(module, nn.Conv2d) and module.groups > 1
    ]
    seen = []
    for convolution in convolutions:
        convolution.register_forward_pre_hook(
            lambda _, inputs: seen.append(inputs[0].is_contiguous())
        )
    features = [torch.randn(2, 4, 8, 8), torch.randn(2, 8, 4, 4)]
    planes = head.eval()(features)
    tokens = head([x.contiguous(memory_format=torch.channels_last) for x in features])
    assert len(seen) == 6 and all(seen)
    torch.testing.assert_close(tokens, planes)
