"""Correlation volumes: reference, hand-worked places, gradients, precision."""

import numpy as np
import pytest
import torch

from dsr_nss.matching.correlation import (
    TILE,
    global_correlation,
    local_correlation,
    mutual_matching,
    normalize_correlation,
    normalize_features,
)
from tests.reference import correlation as reference


def _features(*shape, seed=0, count=2):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for _ in range(count)]


#: Smaller than a tile, one tile, whole tiles, and every kind of rest.
SIZES = [(1, 1), (3, 5), (TILE, TILE), (2 * TILE, TILE), (TILE + 1, 3 * TILE - 1), (13, 22)]


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('radius', [1, 4])
def test_local_matches_reference(size, radius):
    target, day = _features(2, 3, *size, seed=sum(size) + radius)
    actual = local_correlation(torch.tensor(target), torch.tensor(day), radius)
    expected = reference.local_correlation(target, day, radius)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-12, atol=1e-12)


def test_local_in_float32_is_close():
    target, day = _features(1, 128, 19, 21)
    actual = local_correlation(torch.tensor(target).float(), torch.tensor(day).float())
    assert actual.dtype == torch.float32
    expected = reference.local_correlation(target, day, 4)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=0, atol=5e-5)


def test_local_order_by_hand():
    # One pixel of value 3 in the reference at row 2, column 4; the target is 2 everywhere. It is
    # seen from row 1, column 4 as the neighbour below (dy 1, dx 0) and from row 2, column 5 as the
    # one to the left (dy 0, dx -1). Of 3x3: dy * 3 + dx -> channels 2 * 3 + 1 and 1 * 3 + 0.
    day = torch.zeros(1, 1, 5, 7)
    day[0, 0, 2, 4] = 3
    result = local_correlation(torch.full((1, 1, 5, 7), 2.0), day, radius=1)
    assert result[0, 7, 1, 4] == 6 and result[0, 3, 2, 5] == 6
    assert result[0, 4, 2, 4] == 6
    assert (result != 0).sum() == 9


def test_local_is_zero_outside_of_the_reference():
    result = local_correlation(torch.ones(1, 2, 3, 3), torch.ones(1, 2, 3, 3), radius=4)
    picture = result[0, :, 0, 0].view(9, 9)  # of the upper left corner
    expected = torch.zeros(9, 9)
    expected[4:7, 4:7] = 2  # the three rows and columns from itself on
    assert torch.equal(picture, expected)


def test_local_gradient():
    target, day = _features(1, 2, TILE + 1, 5)
    weight = torch.tensor(np.random.default_rng(9).normal(size=(1, 25, TILE + 1, 5)))

    def weighted(a, b):
        return (local_correlation(a, b, 2) * weight).sum()

    inputs = [torch.tensor(f, requires_grad=True) for f in (target, day)]
    assert torch.autograd.gradcheck(weighted, inputs)


def test_local_does_not_hold_the_neighbourhood_of_every_pixel():
    """What the backward pass keeps is a few times the features, not 81 times."""
    kept = []

    def pack(tensor):
        kept.append(tensor.untyped_storage())
        return tensor

    target, day = (torch.randn(1, 64, 64, 64, requires_grad=True) for _ in range(2))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        local_correlation(target, day)
    size = sum({storage.data_ptr(): storage.nbytes() for storage in kept}.values())
    assert 0 < size < 8 * target.nelement() * 4


def test_views_of_other_memory_orders():
    target, day = (torch.tensor(f) for f in _features(2, 4, 9, 10))
    expected = local_correlation(target, day)
    last = torch.channels_last
    actual = local_correlation(target.to(memory_format=last), day.to(memory_format=last))
    torch.testing.assert_close(actual, expected)


def test_global_matches_reference():
    target, _ = _features(2, 5, 3, 4)
    day, _ = _features(2, 5, 4, 2, seed=1)
    actual = global_correlation(torch.tensor(target), torch.tensor(day))
    np.testing.assert_allclose(
        actual.numpy(), reference.global_correlation(target, day), rtol=1e-12, atol=1e-12
    )


def test_global_order_by_hand():
    # The reference position in row 1, column 2 of 2 x 3 is channel 1 * 3 + 2.
    day = torch.zeros(1, 1, 2, 3)
    day[0, 0, 1, 2] = 1
    result = global_correlation(torch.arange(4.0).view(1, 1, 2, 2), day)
    assert result.shape == (1, 6, 2, 2)
    assert result[0, 5].flatten().tolist() == [0, 1, 2, 3]
    assert (result[0, :5] == 0).all()


def test_mutual_matching_matches_reference():
    correlation = np.abs(_features(2, 6, 3, 4, count=1)[0])
    np.testing.assert_allclose(
        mutual_matching(torch.tensor(correlation)).numpy(),
        reference.mutual_matching(correlation),
        rtol=1e-12,
    )


def test_mutual_matching_by_hand():
    # Two positions a side. 4 is the best of both its positions and stays; 2 is half of the best of
    # each: 2 * 1/2 * 1/2.
    correlation = torch.tensor([[4.0, 2.0], [2.0, 1.0]], dtype=torch.float64).view(1, 2, 1, 2)
    result = mutual_matching(correlation, eps=0).view(2, 2)
    torch.testing.assert_close(result, torch.tensor([[4.0, 1.0], [1.0, 0.25]]).double())


def test_normalisation():
    correlation = _features(2, 6, 3, 4, count=1)[0]
    correlation[0, :, 0, 0] = -1  # no positive correlation: zero, not NaN
    actual = normalize_correlation(torch.tensor(correlation))
    np.testing.assert_allclose(
        actual.numpy(), reference.normalize_correlation(correlation), rtol=1e-12
    )
    assert (actual[0, :, 0, 0] == 0).all()
    length = normalize_features(torch.tensor(correlation)).norm(dim=1)
    torch.testing.assert_close(length, torch.ones_like(length))


@pytest.mark.parametrize('correlate', [local_correlation, global_correlation])
def test_autocast_does_not_reach_it(correlate):
    target, day = (torch.tensor(f).float() for f in _features(1, 32, 9, 9))
    expected = correlate(target, day)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(correlate(target, day), expected)
        halved = correlate(target.bfloat16(), day.bfloat16())
    assert halved.dtype == torch.float32
    # what remains is the rounding of the features: 1 of 256 each
    assert (halved - expected).abs().max() < 0.02 * expected.abs().max()


@pytest.mark.parametrize('correlate', [local_correlation, global_correlation])
def test_unequal_features_are_refused(correlate):
    with pytest.raises(ValueError, match=r'\(1, 3, 4, 4\) and \(1, 2, 4, 4\)'):
        correlate(torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match='one shape'):
        local_correlation(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 5))
