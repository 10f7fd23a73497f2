"""DeepLabV2Head: a sum of atrous classifiers and nothing else."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dsr_nss.models.decode_heads import DeepLabV2Head


def build(**fields):
    return DeepLabV2Head(**{'in_channels': 8, 'num_classes': 5, **fields})


def test_scores_are_the_sum_of_the_branches():
    head = build(in_index=2)
    features = [torch.randn(2, 8, 9, 11) for _ in range(4)]
    expected = sum(
        F.conv2d(features[2], branch.weight, branch.bias, padding=d, dilation=d)
        for branch, d in zip(head.branches, (6, 12, 18, 24), strict=True)
    )
    assert head(features).shape == (2, 5, 9, 11)
    torch.testing.assert_close(head(features), expected)


def test_beyond_the_map_the_branches_see_their_centre_alone():
    """A dilation as large as the map leaves the middle weight: a 1x1 classifier."""
    head, x = build(dilations=(12,)), torch.randn(1, 8, 12, 12)
    branch = head.branches[0]
    expected = F.conv2d(x, branch.weight[:, :, 1:2, 1:2], branch.bias)
    torch.testing.assert_close(head([x]), expected)


def test_nothing_else_is_learnt_or_dropped():
    head = build()
    assert {name.split('.')[0] for name in head.state_dict()} == {'branches'}
    assert sum(p.numel() for p in head.parameters()) == 4 * (8 * 5 * 9 + 5)
    x = [torch.randn(1, 8, 6, 6)]
    assert torch.equal(head.train()(x), head(x))
    assert not any(isinstance(m, (nn.Dropout, nn.Dropout2d)) and m.p > 0 for m in head.modules())


def test_published_initialisation():
    head = build(in_channels=256)
    head.init_weights()
    for branch in head.branches:
        assert branch.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert branch.bias.abs().max() == 0
