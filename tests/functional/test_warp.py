"""Warp and match confidence: reference, hand-worked places, published numbers."""

import json
import math

import numpy as np
import pytest
import torch

from dsr_nss.functional.warp import match_confidence, sample_along, warp
from tests.reference import warp as reference


def _case(seed=0, batch=2, channels=3, height=6, width=8, reach=3.0):
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(batch, channels, height, width))
    return image, reach * rng.normal(size=(batch, 2, height, width))


def _ramp(height, width, dtype=torch.float64):
    """Value 10 y + x: bilinear sampling of it is exact, so positions can be read off."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    return (10 * y + x).to(dtype)[None, None]


@pytest.mark.parametrize('seed', range(4))
def test_matches_reference(seed):
    image, flow = _case(seed)
    warped, valid = warp(torch.tensor(image), torch.tensor(flow))
    expected, expected_valid = reference.warp(image, flow)
    np.testing.assert_allclose(warped.numpy(), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(valid.numpy(), expected_valid)
    assert valid.dtype == torch.bool
    assert 0 < expected_valid.mean() < 1, 'the case does not reach over the border'


def test_float32_is_close():
    image, flow = _case(5)
    warped, valid = warp(torch.tensor(image).float(), torch.tensor(flow).float())
    expected, expected_valid = reference.warp(image, flow)
    assert warped.dtype == torch.float32
    np.testing.assert_allclose(warped.numpy(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(valid.numpy(), expected_valid)


def test_shift_by_hand():
    # 10 y + x, flow (x 1, y 0): inside, the pixel to the right. 4 columns: x = 0, 1, 2 read
    # x = 1, 2, 3; x = 3 reads x = 4, outside, 0.
    flow = torch.zeros(1, 2, 3, 4, dtype=torch.float64)
    flow[:, 0] = 1
    warped, valid = warp(_ramp(3, 4), flow)
    expected = [[1, 2, 3, 0], [11, 12, 13, 0], [21, 22, 23, 0]]
    torch.testing.assert_close(warped[0, 0], torch.tensor(expected, dtype=torch.float64))
    # Position x = 3 is exactly on the border, x = 4 outside; rows 0 and 2 are on the border.
    assert valid[0].tolist() == [[False] * 4, [True, True, False, False], [False] * 4]


def test_flow_has_x_first_by_hand():
    # (x 0, y 1) reads the pixel below: 10 more.
    flow = torch.zeros(1, 2, 4, 3, dtype=torch.float64)
    flow[:, 1] = 1
    warped, valid = warp(_ramp(4, 3), flow)
    assert warped[0, 0, 0].tolist() == [10, 11, 12]
    assert warped[0, 0, 3].tolist() == [0, 0, 0]
    assert valid[0].tolist() == [[False, True, False]] * 2 + [[False] * 3] * 2


def test_half_pixel_by_hand():
    # Position (1.5, 1.25) of 10 y + x is 12.5 + 1.5 = 14. Position (-0.5, 1): half of pixel
    # (0, 1) = 10, half of the zero outside: 5.
    flow = torch.zeros(1, 2, 3, 4, dtype=torch.float64)
    flow[0, :, 1, 1] = torch.tensor([0.5, 0.25])
    flow[0, :, 1, 0] = torch.tensor([-0.5, 0.0])
    warped, valid = warp(_ramp(3, 4), flow)
    assert warped[0, 0, 1, 1].item() == pytest.approx(14, rel=1e-12)
    assert warped[0, 0, 1, 0].item() == pytest.approx(5, rel=1e-12)
    assert valid[0, 1].tolist() == [False, True, True, False]


def test_border_positions_are_invalid():
    # Integer flows that end exactly on each border: x = 0, x = W - 1, y = 0, y = H - 1.
    # In 5 x 6 the pixel (x 2, y 2) reaches them with -2, +3, -2, +2; one step less is inside.
    for index, border, step in ((0, -2, 1), (0, 3, -1), (1, -2, 1), (1, 2, -1)):
        flow = torch.zeros(1, 2, 5, 6)
        flow[0, index, 2, 2] = border
        assert not warp(_ramp(5, 6, torch.float32), flow)[1][0, 2, 2]
        flow[0, index, 2, 2] = border + step
        assert warp(_ramp(5, 6, torch.float32), flow)[1][0, 2, 2]
        flow[0, index, 2, 2] = border - step
        assert not warp(_ramp(5, 6, torch.float32), flow)[1][0, 2, 2]


def test_zero_flow_is_no_warp():
    # To the last bit: sampling at 37 x 53 positions that were scaled to -1..1 would round.
    image = torch.randn(2, 3, 37, 53)
    warped, valid = warp(image, torch.zeros(2, 2, 37, 53))
    assert torch.equal(warped, image)
    assert valid.all()


def test_zero_flow_is_decided_per_sample():
    # What a sample gets must not depend on its neighbours in the batch.
    image, flow = _case(7)
    flow[1] = 0
    warped, valid = warp(torch.tensor(image), torch.tensor(flow))
    expected, expected_valid = reference.warp(image, flow)
    np.testing.assert_allclose(warped.numpy(), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(valid.numpy(), expected_valid)
    assert torch.equal(warped[1], torch.tensor(image[1]))
    assert valid[1].all()
    assert not valid[0].all()


@pytest.mark.parametrize('shape', [(1, 2, 4, 6), (1, 3, 4, 5), (1, 2, 5, 4)])
def test_flow_of_another_size_is_refused(shape):
    with pytest.raises(ValueError, match='flow'):
        warp(torch.randn(1, 3, 4, 5), torch.zeros(shape))


def test_almost_zero_flow_masks_the_border():
    # The published warp jumps here, too: one pixel that moves makes the whole flow a warp.
    flow = torch.zeros(1, 2, 4, 5)
    flow[0, 0, 1, 1] = 0.25
    _, valid = warp(torch.randn(1, 3, 4, 5), flow)
    assert valid[0, 1:-1, 1:-1].all()
    assert valid.sum() == 2 * 3


def test_image_gradient():
    image, flow = _case(6, batch=1, channels=2, height=3, width=4, reach=1.0)
    image, flow = torch.tensor(image, requires_grad=True), torch.tensor(flow)
    assert torch.autograd.gradcheck(lambda x: warp(x, flow)[0], (image,))


def test_sampling_has_no_exception_for_a_zero_flow():
    image, flow = _case(8)
    expected, _ = reference.warp(image, flow)
    sampled = sample_along(torch.tensor(image), torch.tensor(flow))
    np.testing.assert_allclose(sampled.numpy(), expected, rtol=1e-10, atol=1e-12)
    image = torch.tensor(image)
    torch.testing.assert_close(sample_along(image, torch.zeros(2, 2, 6, 8)), image)


def test_sampling_gradient_reaches_the_flow():
    image, flow = _case(9, batch=1, channels=2, height=3, width=4, reach=0.4)
    image, flow = torch.tensor(image), torch.tensor(flow, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: sample_along(image, x), (flow,))


def test_confidence_by_hand():
    # s2 = 1: 1 - exp(-1/2); s2 = 1/2: 1 - exp(-1); R = 2, s2 = 4: 1 - exp(-1/2).
    log_variance = torch.tensor([0.0, math.log(0.5)], dtype=torch.float64).reshape(1, 1, 1, 2)
    actual = match_confidence(log_variance).flatten().tolist()
    assert actual == pytest.approx([1 - math.exp(-0.5), 1 - math.exp(-1)], rel=1e-12)
    four = torch.full((1, 1, 1, 1), math.log(4), dtype=torch.float64)
    assert match_confidence(four, radius=2.0).item() == pytest.approx(1 - math.exp(-0.5), rel=1e-12)


def test_confidence_matches_reference():
    log_variance = np.linspace(-6, 8, 30).reshape(1, 1, 5, 6)
    for radius in (0.5, 1.0, 3.0):
        np.testing.assert_allclose(
            match_confidence(torch.tensor(log_variance), radius).numpy(),
            reference.match_confidence(log_variance, radius),
            rtol=1e-10,
        )


def test_confidence_stays_finite():
    # exp overflows in float32 beyond 88: the chance is then 0; a variance of 0 makes it 1.
    extreme = match_confidence(torch.tensor([-200.0, 200.0]))
    assert extreme.tolist() == [1.0, 0.0]


def test_published_numbers(shared_dir):
    data = np.load(shared_dir / 'reference/parity/warp.npz')
    warped, valid = warp(torch.tensor(data['img']), torch.tensor(data['flow']))
    np.testing.assert_array_equal(valid.numpy(), data['mask'])
    assert int(valid.sum()) == json.loads(str(data['meta']))['mask_true']
    np.testing.assert_allclose(warped.numpy(), data['warped'], rtol=0, atol=1e-5)
    confidence = match_confidence(torch.tensor(data['log_var']))
    np.testing.assert_allclose(confidence.numpy(), data['p_r'], rtol=0, atol=1e-6)


def test_reference_agrees_with_published_numbers(shared_dir):
    data = np.load(shared_dir / 'reference/parity/warp.npz')
    warped, valid = reference.warp(data['img'], data['flow'])
    np.testing.assert_array_equal(valid, data['mask'])
    # Positions up to 40 in float32 are off by 2e-6, the image changes by some units per pixel.
    np.testing.assert_allclose(warped, data['warped'], rtol=0, atol=3e-5)
