"""The light decoder of token maps."""

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from dsr_nss.errors import ConfigError


def layer_norm(x, weight, bias):
    """Over the channels of `(B, C, h, w)`."""
    mean = x.mean(1, keepdim=True)
    spread = ((x - mean) ** 2).mean(1, keepdim=True)
    return (x - mean) / (spread + 1e-6).sqrt() * weight.view(-1, 1, 1) + bias.view(-1, 1, 1)


def published(state, x):
    """From the names of VFM-UDA's decoder."""
    x = F.conv_transpose2d(x, state['upscale.0.weight'], stride=2)
    x = F.gelu(layer_norm(x, state['upscale.1.weight'], state['upscale.1.bias']))
    x = F.conv_transpose2d(x, state['upscale.3.weight'], stride=2)
    x = layer_norm(x, state['upscale.4.weight'], state['upscale.4.bias'])
    x = F.conv2d(x, state['upscale.5.weight'], padding=1)
    x = layer_norm(x, state['upscale.6.weight'], state['upscale.6.bias'])
    return F.conv2d(x, state['conv_seg.weight'])


def build(**fields):
    head = MODELS.build(dict(type='LightHead', in_channels=32, num_classes=19, **fields))
    head.init_weights()
    return head.double()


@torch.no_grad()
def test_it_computes_what_is_published():
    head = build().eval()
    for parameter in head.parameters():
        parameter.normal_()
    maps = [torch.randn(2, 32, 3, 5, dtype=torch.double) for _ in range(2)]
    logits = head(maps)
    assert logits.shape == (2, 19, 12, 20)
    torch.testing.assert_close(logits, published(head.state_dict(), maps[-1]))


def test_only_these_entries_and_a_wide_start_of_the_classifier():
    head = build()
    names = {f'upscale.{i}.weight' for i in (0, 1, 3, 4, 5, 6)}
    names |= {f'upscale.{i}.bias' for i in (1, 4, 6)} | {'conv_seg.weight'}
    assert set(head.state_dict()) == names
    assert abs(head.conv_seg.weight.std() - 0.1) < 0.03


def test_fields_are_used_or_refused():
    still = build(init_cfg=dict(type='Constant', val=7, override=dict(name='conv_seg')))
    assert (still.conv_seg.weight == 7).all()
    with pytest.raises(ConfigError, match='LightHead has no field channels, norm_cfg'):
        build(channels=64, norm_cfg=dict(type='BN'))
