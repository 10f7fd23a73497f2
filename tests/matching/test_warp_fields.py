"""Synthetic warps: independent references, known geometry, exact composition."""

import math

import numpy as np
import pytest
import torch

from dsr_nss.matching.warp_fields import (
    elastic_flow,
    homography_flow,
    similarity,
    soft_windows,
    thin_plate_flow,
)
from tests.reference import synthetic_warps as reference

SIZE = (9, 14)


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 1


def assert_close(actual, expected, atol=1e-9):
    np.testing.assert_allclose(actual.numpy(), expected, rtol=0, atol=atol)


def test_homography_against_the_reference():
    corners = 0.45 * draw(3, 4, 2)
    flow = homography_flow(corners, SIZE)
    for i in range(3):
        assert_close(flow[i], reference.homography_flow(corners[i].numpy(), SIZE))


def test_homography_moves_the_corners_as_told_and_nothing_else_for_zeros():
    corners = torch.tensor([[[0.2, 0.1], [-0.1, 0.3], [0.0, -0.2], [0.4, -0.4]]])
    flow = homography_flow(corners, (5, 11))  # half images: 2 pixels high, 5 wide
    at_corners = flow[0][:, [0, 0, 4, 4], [0, 10, 0, 10]].T
    torch.testing.assert_close(at_corners, corners[0] * torch.tensor([5.0, 2.0]))
    assert homography_flow(torch.zeros(2, 4, 2), SIZE).abs().max() < 1e-5
    shifted = homography_flow(torch.full((1, 4, 2), 0.2), (5, 11))
    torch.testing.assert_close(shifted[0, :, 2, 3], torch.tensor([1.0, 0.4]))
    assert shifted.std(dim=(2, 3)).max() < 1e-5


@pytest.mark.parametrize('similar', [False, True])
def test_thin_plate_against_the_reference(similar):
    shifts = 0.4 * draw(2, 9, 2)
    affine = similarity(draw(2, seed=1), 1 + draw(2, seed=2) / 2, draw(2, 2, seed=3), SIZE)
    flow = thin_plate_flow(shifts, SIZE, affine=affine if similar else None)
    for i in range(2):
        expected = reference.thin_plate_flow(
            shifts[i].numpy(), SIZE, affine[i].numpy() if similar else None
        )
        assert_close(flow[i], expected)


def test_thin_plate_goes_through_its_control_points():
    shifts = 0.3 * draw(1, 9, 2)
    flow = thin_plate_flow(shifts, (7, 9))
    at_control = flow[0][:, ::3, ::4].flatten(1).T
    torch.testing.assert_close(at_control, shifts[0] * torch.tensor([4.0, 3.0]).double())


def test_similarity_turns_pixels_without_shearing_them():
    angle, size = math.pi / 2, (5, 21)
    turn = similarity(torch.tensor([angle]), torch.ones(1), torch.zeros(1, 2), size)
    flow = thin_plate_flow(torch.zeros(1, 9, 2), size, affine=turn)
    # two pixels to the right of the centre (10, 2) lie two pixels below it afterwards
    torch.testing.assert_close(flow[0, :, 2, 12], torch.tensor([-2.0, 2.0]), atol=1e-5, rtol=0)
    grown = similarity(torch.zeros(1), torch.tensor([1.5]), torch.tensor([[0.1, 0.5]]), size)
    flow = thin_plate_flow(torch.zeros(1, 9, 2), size, affine=grown)
    torch.testing.assert_close(flow[0, :, 2, 12], torch.tensor([1 + 1.0, 1.0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    'warp, parameters', [(homography_flow, (2, 4, 2)), (thin_plate_flow, (2, 9, 2))]
)
def test_a_warp_after_another_is_read_where_the_first_one_leads(warp, parameters):
    parameters = 0.3 * draw(*parameters)
    plain = warp(parameters, SIZE)
    offset = torch.zeros(2, 2, *SIZE, dtype=torch.float64)
    offset[:, 0], offset[:, 1] = 3, -2  # whole pixels
    both = warp(parameters, SIZE, offset=offset)
    assert_close(both[:, :, 2:, :-3], (plain[:, :, :-2, 3:] + offset[:, :, 2:, :-3]).numpy())


def test_elastic_against_the_reference():
    noise = draw(2, 2, 4, 5)
    sigma, amplitude = torch.tensor([3.0, 5.0]).double(), torch.tensor([2.0, 7.0]).double()
    flow = elastic_flow(noise, sigma, amplitude, SIZE)
    for i in range(2):
        expected = reference.elastic_flow(
            noise[i].numpy(), float(sigma[i]), float(amplitude[i]), SIZE
        )
        assert_close(flow[i], expected)


def test_elastic_is_as_large_as_stated_whatever_the_grid_of_noise():
    """Blurred white noise of one draw a pixel: `std * amplitude / (2 sqrt(pi) sigma)`."""
    size, sigma, amplitude = (100, 100), 10.0, 100.0
    expected = 3**-0.5 * amplitude / (2 * math.pi**0.5 * sigma)
    for nodes in (32, 64):
        noise = draw(60, 2, nodes, nodes)
        parameters = torch.full((60,), sigma), torch.full((60,), amplitude)
        flow = elastic_flow(noise, *(p.double() for p in parameters), size)
        measured = flow[:, :, 30:70, 30:70].std()
        assert abs(measured / expected - 1) < 0.1


def test_windows_against_the_reference():
    centres = torch.tensor([[[3.0, 4.0], [9.0, 2.0], [6.0, 6.0]]]).double()
    sigmas, used = torch.tensor([[1.0, 2.0, 1.5]]).double(), torch.tensor([[True, True, False]])
    windows = soft_windows(centres, sigmas, used, SIZE)
    expected = reference.soft_windows(centres[0].numpy(), sigmas[0].numpy(), used[0].numpy(), SIZE)
    assert_close(windows[0, 0], expected)
    assert windows[0, 0, 4, 3] == 1 and windows[0, 0, 8, 0] < 0.1


@pytest.mark.parametrize(
    'function, parameters',
    [
        (lambda c: homography_flow(c, (4, 5)), 0.3 * draw(1, 4, 2)),
        (lambda s: thin_plate_flow(s, (4, 5)), 0.3 * draw(1, 9, 2)),
    ],
)
def test_gradients(function, parameters):
    assert torch.autograd.gradcheck(function, parameters.requires_grad_())


def test_numbers_stay_on_the_device_and_in_the_dtype_of_the_parameters():
    for dtype in (torch.float32, torch.float64):
        parameters = draw(1, 4, 2).to(dtype), draw(1, 9, 2).to(dtype), draw(1, 2, 4, 4).to(dtype)
        one = torch.ones(1, dtype=dtype)
        for flow in (
            homography_flow(0.3 * parameters[0], SIZE),
            thin_plate_flow(parameters[1], SIZE),
            elastic_flow(parameters[2], 4 * one, one, SIZE),
        ):
            assert flow.dtype == dtype and flow.shape == (1, 2, *SIZE)
