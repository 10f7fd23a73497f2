"""Losses of warp consistency: references, hand-checked cases, gradients, invalid pixels."""

import math

import numpy as np
import pytest
import torch

from dsr_nss.matching.losses import (
    at_level,
    balance,
    bipath_loss,
    compose,
    flow_nll,
    masked_nll,
    mean_over,
    visibility_mask,
    warp_supervision_loss,
)
from tests.reference import warp_consistency as reference

SIZE = (12, 20)  # full image; the level below is a quarter
LEVEL = (3, 5)


def draw(*shape, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def estimate(seed, size=LEVEL, scale=3.0):
    return draw(2, 2, *size, seed=seed, scale=scale), draw(2, 1, *size, seed=seed + 50)


def constant(x, y, size=LEVEL, log_variance=0.0, batch=1):
    flow = torch.tensor([x, y]).double().view(1, 2, 1, 1).expand(batch, 2, *size).clone()
    return flow, torch.full((batch, 1, *size), log_variance, dtype=torch.float64)


def test_composition_against_the_reference():
    first, second = estimate(1), estimate(2)
    bipath = compose(first, second, SIZE)
    expected = reference.compose(*(x.numpy() for x in (*first, *second)), SIZE)
    for actual, wanted in zip(bipath, expected, strict=True):
        np.testing.assert_allclose(actual.numpy(), wanted, rtol=0, atol=1e-10)
    assert 0 < bipath.inside.sum() < bipath.inside.numel()


def test_translations_add_up_and_so_do_variances():
    bipath = compose(
        constant(3.0, -1.0, log_variance=math.log(2)),
        constant(1.0, 2.0, log_variance=math.log(6)),
        SIZE,
    )
    # a fourth of 3 pixels to the right: the last column is outside, and the first row above
    assert bipath.inside[0].tolist() == [
        [False] * 5,
        [True, True, True, True, False],
        [True, True, True, True, False],
    ]
    inside = bipath.flow[0][:, bipath.inside[0]]
    np.testing.assert_allclose(inside, [[4.0] * 8, [1.0] * 8], atol=1e-12)
    variance = bipath.log_variance[0, 0][bipath.inside[0]].exp()
    np.testing.assert_allclose(variance, 8.0)


def test_gradients_pass_the_flows_and_not_the_position():
    inputs = [x.requires_grad_() for x in (*estimate(3, scale=0.5), *estimate(4))]

    def from_one_place(first_lv, second, second_lv):
        path = compose((inputs[0].detach(), first_lv), (second, second_lv), SIZE)
        return path.flow, path.log_variance

    assert torch.autograd.gradcheck(from_one_place, inputs[1:])
    path = compose(tuple(inputs[:2]), tuple(inputs[2:]), SIZE)
    gradient = torch.autograd.grad(path.flow.sum(), inputs[0])[0]
    assert torch.equal(gradient, torch.ones_like(gradient))


def test_visibility_against_the_reference_and_by_hand():
    first, second, flow = estimate(5), estimate(6), draw(2, 2, *LEVEL, seed=7, scale=3)
    path = compose(first, second, SIZE)
    visible = visibility_mask(path, first[0], flow)
    expected = reference.visibility_mask(
        *(x.numpy() for x in (path.flow, first[0], path.second, flow))
    )
    np.testing.assert_array_equal(visible.numpy(), expected)
    assert 0 < visible.sum() < visible.numel()
    # there and back by 10: allowed are 0.03 * (100 + 100 + 0) + 0.5 = 6.5 squared pixels
    there, back = constant(0.0, 10.0, (12, 20)), constant(0.0, -10.0, (12, 20))
    path = compose(there, back, SIZE)
    for wrong, visible in ((2.5, True), (2.6, False)):
        mask = visibility_mask(path, there[0], constant(wrong, 0.0, (12, 20))[0])
        # the warp counts too: 0.03 * 2.6 ** 2 = 0.2
        limit = 6.5 + 0.03 * wrong**2
        assert (wrong**2 < limit) == visible
        assert bool(mask[0, 0, 5]) == visible


def test_likelihood_by_hand():
    error = torch.tensor([0.5, 3.0]).double().view(1, 2, 1, 1)
    log_variance = torch.full((1, 1, 1, 1), math.log(2), dtype=torch.float64)
    # rho: 0.25 and 2 * 3 - 1 = 5
    expected = 5.25 / (2 * 2) + math.log(2) + math.log(2 * math.pi)
    assert flow_nll(error, log_variance).item() == pytest.approx(expected)
    gaussian = 9.25 / (2 * 2) + math.log(2) + math.log(2 * math.pi)
    assert flow_nll(error, log_variance, math.inf).item() == pytest.approx(gaussian)


def test_likelihood_is_that_of_a_gaussian_in_the_plane():
    error, log_variance = draw(1, 2, 4, 4, seed=8), draw(1, 1, 4, 4, seed=9)
    scale = (log_variance / 2).exp()
    normal = torch.distributions.Normal(torch.zeros_like(scale), scale)
    expected = -(normal.log_prob(error[:, :1]) + normal.log_prob(error[:, 1:]))[:, 0]
    torch.testing.assert_close(flow_nll(error, log_variance, math.inf), expected)


def test_likelihood_prefers_the_true_flow_and_the_true_variance():
    flow = draw(1, 2, *LEVEL, seed=10)
    valid = torch.ones(1, *LEVEL, dtype=torch.bool)
    zero = torch.zeros(1, 1, *LEVEL, dtype=torch.float64)
    best = masked_nll((flow, zero), flow, valid)
    assert best.item() == pytest.approx(math.log(2 * math.pi))
    for seed in range(5):
        other = flow + draw(1, 2, *LEVEL, seed=20 + seed, scale=0.1)
        assert masked_nll((other, zero), flow, valid) > best
    # errors of length d: the best variance is d ** 2 / 2
    log_variance = torch.full_like(zero, math.log(0.5**2 / 2)).requires_grad_()
    moved = flow + torch.tensor([0.3, -0.4]).double().view(1, 2, 1, 1)
    masked_nll((moved, log_variance), flow, valid).backward()
    assert log_variance.grad.abs().max() < 1e-7


@pytest.mark.parametrize('threshold', [1.0, math.inf])
def test_masked_mean_against_the_reference_with_gradients(threshold):
    (flow, log_variance), truth = estimate(11), draw(2, 2, *LEVEL, seed=12)
    valid = draw(2, *LEVEL, seed=13) > 0
    loss = masked_nll((flow, log_variance), truth, valid, threshold)
    arrays = (x.numpy() for x in (flow, log_variance, truth, valid))
    assert loss.item() == pytest.approx(reference.masked_nll(*arrays, threshold), abs=1e-10)
    assert torch.autograd.gradcheck(
        lambda f, v: masked_nll((f, v), truth, valid, threshold),
        (flow.requires_grad_(), log_variance.requires_grad_()),
    )


def test_invalid_pixels_contribute_nothing_not_even_nan():
    (flow, log_variance), truth = estimate(14), draw(2, 2, *LEVEL, seed=15)
    valid = torch.zeros(2, *LEVEL, dtype=torch.bool)
    valid[0] = True
    clean = masked_nll((flow[:1], log_variance[:1]), truth[:1], valid[:1])
    flow[1], log_variance[1], truth[1] = math.nan, -math.inf, math.inf
    flow.requires_grad_(), log_variance.requires_grad_()
    loss = masked_nll((flow, log_variance), truth, valid)
    assert loss.item() == pytest.approx(clean.item())
    loss.backward()
    for gradient in (flow.grad, log_variance.grad):
        assert gradient.isfinite().all() and not gradient[1].any() and gradient[0].any()


def test_nothing_valid_is_a_zero_with_a_graph():
    first, second = estimate(16), estimate(17)
    inputs = [x.requires_grad_() for x in (*first, *second)]
    flow, valid = draw(2, 2, *SIZE, seed=18), torch.zeros(2, *SIZE, dtype=torch.bool)
    bipath = bipath_loss([first], [second], flow, valid, level_weights=(1.0,))
    supervision = warp_supervision_loss([first], flow, valid, level_weights=(1.0,))
    total = bipath.loss + supervision
    assert total.item() == 0 and bipath.share.item() == 0
    total.backward()
    assert all(x.grad is not None and not x.grad.any() for x in inputs)
    assert mean_over(torch.full((2, *SIZE), math.nan), valid) == 0


def test_a_level_is_valid_where_all_it_is_made_of_is():
    valid = torch.ones(1, 8, 8, dtype=torch.bool)
    valid[0, :, 7] = False
    flow, mask = at_level(constant(2.0, 5.0, (8, 8))[0], valid, (4, 4))
    assert mask[0].all(dim=0).tolist() == [True, True, True, False]
    torch.testing.assert_close(flow, constant(2.0, 5.0, (4, 4))[0])


@pytest.mark.parametrize('only_visible', [False, True])
def test_both_losses_are_sums_over_the_levels(only_visible):
    sizes, weights = ((3, 5), (6, 10)), (2.0, 0.5)
    there = [estimate(30 + i, size) for i, size in enumerate(sizes)]
    back = [estimate(40 + i, size) for i, size in enumerate(sizes)]
    flow, valid = draw(2, 2, *SIZE, seed=19, scale=3), torch.ones(2, *SIZE, dtype=torch.bool)
    valid[1, :, :9] = False
    supervision, bipath = 0.0, 0.0
    for weight, first, second in zip(weights, there, back, strict=True):
        level_flow, mask = (x.numpy() for x in at_level(flow, valid, first[0].shape[2:]))
        arrays = [x.numpy() for x in (*first, *second)]
        supervision += weight * reference.masked_nll(*arrays[:2], level_flow, mask)
        composed, log_variance, read, inside = reference.compose(*arrays, SIZE)
        seen = mask & inside
        if only_visible:
            seen &= reference.visibility_mask(composed, arrays[0], read, level_flow)
        bipath += weight * reference.masked_nll(composed, log_variance, level_flow, seen)
    actual = warp_supervision_loss(there, flow, valid, weights)
    assert actual.item() == pytest.approx(supervision, abs=1e-9)
    options = dict(level_weights=weights, only_visible=only_visible)
    result = bipath_loss(there, back, flow, valid, **options)
    assert result.loss.item() == pytest.approx(bipath, abs=1e-9)
    assert result.share.item() == pytest.approx(seen.sum() / mask.sum())


def test_the_smaller_loss_is_scaled_up_without_a_gradient():
    first, second = torch.tensor(2.0, requires_grad=True), torch.tensor(8.0)
    factors = balance(first, second)
    assert [f.item() for f in factors] == [4.0, 1.0]
    assert not any(f.requires_grad for f in factors)
    assert [f.item() for f in balance(second, first)] == [1.0, 4.0]
    assert [f.item() for f in balance(torch.tensor(1e-9), second)] == [100.0, 1.0]
    for a, b in ((-1.0, 3.0), (3.0, -1.0), (-2.0, -1.0), (0.0, 1.0)):
        assert [f.item() for f in balance(torch.tensor(a), torch.tensor(b))] == [1.0, 1.0]
