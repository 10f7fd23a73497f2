"""RefineNetHead: its parts by hand, where it drops, and its sizes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dsr_nss.models.decode_heads import RefineNetHead
from dsr_nss.models.decode_heads.refinenet import (
    ChainedResidualPooling,
    MultiResolutionFusion,
    ResidualConvUnit,
)

CHANNELS = [4, 6, 8, 10]


def build(**fields):
    defaults = dict(in_channels=CHANNELS, num_classes=5, channels=6, coarsest_channels=12)
    return RefineNetHead(**{**defaults, **fields})


def features(size=(64, 96), batch=1):
    return [
        torch.randn(batch, c, -(-size[0] // s), -(-size[1] // s))
        for c, s in zip(CHANNELS, (4, 8, 16, 32), strict=True)
    ]


@torch.no_grad()
def as_factor(conv: nn.Conv2d, factor: float = 1.0) -> None:
    """Make a convolution between equal numbers of channels a multiplication."""
    conv.weight.zero_()
    for i in range(len(conv.weight)):
        conv.weight[i, i, 1, 1] = factor
    if conv.bias is not None:
        conv.bias.zero_()


@pytest.mark.parametrize('size', [(64, 96), (65, 90)])
def test_logits_have_the_size_of_the_finest_map(size):
    logits = build()(features(size, batch=2))
    assert logits.shape == (2, 5, -(-size[0] // 4), -(-size[1] // 4))
    logits.sum().backward()


def test_residual_conv_unit_by_hand():
    unit = ResidualConvUnit(1)
    as_factor(unit.conv1, 2.0)
    as_factor(unit.conv2, 10.0)
    unit.conv1.bias.data.fill_(-3.0)
    # 1 -> relu 1 -> 2 - 3 -> relu 0 -> 0;  5 -> 10 - 3 = 7 -> 70;  -4 -> relu 0 -> -3 -> 0
    x = torch.tensor([[[[1.0, 5.0, -4.0]]]])
    assert unit(x).flatten().tolist() == [1.0, 75.0, -4.0]
    assert unit.conv1.bias is not None and unit.conv2.bias is None


def test_chained_pooling_by_hand():
    """One bright pixel: link k covers a square of 4k + 1 pixels, halved k times."""
    pooling = ChainedResidualPooling(1)
    for conv in pooling.convs:
        as_factor(conv, 0.5)
    x = torch.zeros(1, 1, 19, 19)
    x[0, 0, 9, 9] = 16.0
    row = pooling(x)[0, 0, 9]
    links = [16.0, 8.0, 4.0, 2.0, 1.0]
    rings = [sum(links), sum(links[1:]), sum(links[2:]), sum(links[3:]), links[4]]
    expected = [rings[-(-abs(i - 9) // 2)] if abs(i - 9) <= 8 else 0.0 for i in range(19)]
    assert row.tolist() == expected


def test_fusion_aligns_corners():
    fusion = MultiResolutionFusion(1, 1)
    as_factor(fusion.fine)
    as_factor(fusion.coarse)
    coarse = torch.tensor([[[[0.0, 3.0]]]])
    assert fusion(torch.zeros(1, 1, 1, 4), coarse).flatten().tolist() == [0.0, 1.0, 2.0, 3.0]


def test_every_level_counts_and_the_coarsest_is_wider():
    torch.manual_seed(0)
    head, maps = build().eval(), features()
    before = head(maps)
    for level in range(4):
        changed = [x + (i == level) for i, x in enumerate(maps)]
        assert not torch.allclose(head(changed), before)
    assert [len(path.reduce.weight) for path in head.paths] == [6, 6, 6, 12]
    assert head.paths[3].fusion is None and head.paths[2].fusion.coarse.in_channels == 12


def test_dropout_on_the_two_coarsest_maps_and_before_the_classifier():
    head, maps = build(), [torch.ones_like(x) for x in features()]
    seen = {}

    def watch(name, module):
        module.register_forward_pre_hook(lambda _, inputs: seen.update({name: inputs[0]}))

    for level, path in enumerate(head.paths):
        watch(level, path.reduce)
    watch('classifier', head.conv_seg)
    head.train()(maps)
    for level in (0, 1):
        assert torch.equal(seen[level], maps[level])
    for level in (2, 3):
        # single values, not whole channels: kept ones are scaled by 1 / 0.5
        assert set(seen[level].unique().tolist()) == {0.0, 2.0}
        assert 0 < (seen[level][0, 0] == 0).float().mean() < 1
    assert (seen['classifier'] == 0).float().mean() == pytest.approx(0.5, abs=0.1)
    head.eval()(maps)
    assert all(torch.equal(seen[level], maps[level]) for level in range(4))
    assert (seen['classifier'] == 0).float().mean() < 0.01


def test_classifier():
    head = build()
    assert head.conv_seg.kernel_size == (3, 3) and head.conv_seg.bias is not None
    assert not any(isinstance(m, nn.BatchNorm2d) for m in head.modules())
    x = torch.randn(1, 6, 5, 5)
    expected = F.conv2d(x, head.conv_seg.weight, head.conv_seg.bias, padding=1)
    torch.testing.assert_close(head.eval().cls_seg(x), expected)
