"""Dense flow from scattered matches: reference, hand-worked cases, affine flows."""

import math

import numpy as np
import pytest
import torch

from dsr_nss.functional.warp import pixel_grid
from dsr_nss.matching.scattered_flow import (
    REACH,
    RIDGE,
    density_confidence,
    interpolate_matches,
)
from tests.reference import scattered_flow as reference


def _matches(count, size, seed=0):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 1, (count, 2)) * (size[1] - 1, size[0] - 1)
    return points, rng.normal(0, 5, (count, 2)), rng.uniform(0.2, 1, count)


def _tensors(*arrays):
    return [torch.tensor(array) for array in arrays]


@pytest.mark.parametrize('count', [1, 2, 3, 40])
def test_matches_reference(count):
    size, sigma = (9, 12), 3.0
    matches = _matches(count, size, seed=count)
    flow, density = interpolate_matches(*_tensors(*matches), size, sigma, stride=1)
    expected, expected_density = reference.interpolate_matches(*matches, size, sigma, RIDGE, REACH)
    assert flow.dtype == torch.float32
    np.testing.assert_allclose(flow.numpy(), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(density.numpy(), expected_density, rtol=1e-5)


def test_linear_between_nodes():
    # 8 pixels at stride 8: nodes at 0 and 7 alone, so the four corners are nodes
    matches = _matches(25, (8, 8), seed=3)
    flow, density = interpolate_matches(*_tensors(*matches), (8, 8), 4.0, stride=8)
    for x, y in ((0, 0), (7, 0), (0, 7), (7, 7)):
        node = np.array([x, y], dtype=np.float64)
        expected, expected_density = reference.fit(node, *matches, 4.0, RIDGE, REACH)
        np.testing.assert_allclose(flow[:, y, x], expected, rtol=1e-5, atol=1e-5)
        assert density[0, y, x].item() == pytest.approx(expected_density, rel=1e-5)
    step = (flow[:, 0, 7:] - flow[:, 0, :1]) / 7
    torch.testing.assert_close(flow[:, 0].diff(dim=1), step.expand(2, 7), rtol=0, atol=1e-4)


def test_one_match_by_hand():
    # Its flow is everywhere; its weight at a distance of sigma is exp(-1/2) of its score.
    flow, density = interpolate_matches(
        *_tensors(np.array([[0.0, 0.0]]), np.array([[3.0, -2.0]]), np.array([0.5])), (17, 17), 16.0
    )
    torch.testing.assert_close(flow[0], torch.full((17, 17), 3.0))
    torch.testing.assert_close(flow[1], torch.full((17, 17), -2.0))
    assert density[0, 0, 0].item() == pytest.approx(0.5)
    assert density[0, 0, 16].item() == pytest.approx(0.5 * math.exp(-0.5))


def test_affine_flow_is_given_back():
    size = (60, 90)
    points = _matches(400, size, seed=5)[0]
    slope, offset = np.array([[0.05, -0.02], [0.03, 0.04]]), np.array([7.0, -3.0])
    flows = points @ slope + offset
    flow, _ = interpolate_matches(*_tensors(points, flows, np.ones(400)), size, sigma=8.0)
    grid = pixel_grid(*size, torch.zeros((), dtype=torch.float64))[0].permute(1, 2, 0).numpy()
    expected = (grid @ slope + offset).transpose(2, 0, 1)
    error = np.abs(flow.numpy() - expected)
    assert error[:, 8:-8, 8:-8].max() < 0.02
    assert error.max() < 0.1
    # a mean of the neighbours would be off by half of its reach at the border
    assert np.abs(expected - flows.mean(axis=0)[:, None, None]).max() > 3


def test_far_from_all_matches_the_nearest_decides():
    points = np.array([[5.0, 5.0], [6.0, 5.0], [150.0, 5.0]])
    flows = np.array([[1.0, 0.0], [1.5, 0.0], [9.0, 2.0]])
    flow, density = interpolate_matches(*_tensors(points, flows, np.ones(3)), (200, 200), 4.0)
    assert torch.isfinite(flow).all() and torch.isfinite(density).all()
    assert density[0, -1, 0] < 1e-12
    # slopes are followed for a bounded way alone: 0.5 a pixel over 190 pixels would be 95
    assert flow[0, -1, 0].abs() < 8
    torch.testing.assert_close(flow[:, -1, -1], torch.tensor([9.0, 2.0]))


def test_matches_on_a_line_tell_nothing_across_it():
    x = np.arange(0, 40.0, 2)
    points = np.stack([x, np.full_like(x, 19.5)], axis=1)
    flows = np.stack([0.1 * x, 0.0 * x], axis=1)
    flow, _ = interpolate_matches(*_tensors(points, flows, np.ones(20)), (40, 40), 8.0)
    torch.testing.assert_close(flow[0, 0], flow[0, -1], rtol=0, atol=0.02)
    assert flow[1].abs().max() < 1e-4


def test_large_images_lose_no_digits():
    points = np.array([[2000.0, 1000.0], [2001.0, 1000.5], [2000.5, 1001.5], [1999.0, 999.0]])
    flows = (points - points[0]) * 0.5
    matches = points, flows, np.ones(4)
    flow, _ = interpolate_matches(*_tensors(*matches), (1080, 2048), 4.0, stride=1080)
    node = np.array([2047.0, 1079.0])
    expected, _ = reference.fit(node, *matches, 4.0, RIDGE, REACH)
    np.testing.assert_allclose(flow[:, -1, -1], expected, rtol=1e-4, atol=1e-4)


def test_density_confidence_by_hand():
    density = torch.tensor([0.0, 3.0, 6.0, 1e6], dtype=torch.float64)
    expected = [0.0, 1 - math.exp(-1), 1 - math.exp(-2), 1.0]
    assert density_confidence(density).tolist() == pytest.approx(expected)
    assert density_confidence(density, support=6.0)[2].item() == pytest.approx(1 - math.exp(-1))


def test_no_match_is_refused():
    with pytest.raises(ValueError, match='at least one, got 0, 0 and 0'):
        interpolate_matches(torch.zeros(0, 2), torch.zeros(0, 2), torch.zeros(0), (8, 8))
    with pytest.raises(ValueError, match='got 2, 1 and 2'):
        interpolate_matches(torch.zeros(2, 2), torch.zeros(1, 2), torch.ones(2), (8, 8))
