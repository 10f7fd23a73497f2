"""Colour jitter and blur with one factor per image."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as vision

from dsr_nss.functional.photometric import (
    add_brightness,
    adjust_hue,
    gaussian_blur,
    scale_saturation,
    turn_hue,
)
from dsr_nss.models.dsr.photometric import JITTER
from tests.reference import photometric as reference

KORNIA = [
    (add_brightness, reference.add_brightness, (0.8, 1.0, 1.2)),
    (vision.adjust_brightness, reference.adjust_brightness, (0.8, 1.0, 1.2)),  # its contrast
    (scale_saturation, reference.scale_saturation, (0.8, 1.0, 1.2)),
    (turn_hue, reference.turn_hue, (-0.2, 0.0, 0.2)),
]
OWN = [*KORNIA, (adjust_hue, reference.adjust_hue, (-0.2, 0.0, 0.2))]
#: Computed by torchvision, its hue in float32 for any image.
TORCHVISION = [
    (vision.adjust_contrast, reference.adjust_contrast, (0.8, 1.0, 1.2)),
    (vision.adjust_saturation, reference.adjust_saturation, (0.8, 1.0, 1.2)),
    (vision.adjust_hue, reference.adjust_hue, (-0.2, 0.0, 0.2)),
]
COLOUR = OWN + TORCHVISION


def _image(seed=0, shape=(3, 3, 6, 7)):
    return np.random.default_rng(seed).uniform(size=shape)


def _apply(function, image, factors):
    """Each image with its own factor."""
    images = zip(image.split(1), factors, strict=True)
    return torch.cat([function(one, factor) for one, factor in images])


def test_the_definitions_are_made_of_these():
    assert JITTER['kornia'] == tuple(function for function, _, _ in KORNIA)
    scaled, *rest = JITTER['torchvision']
    assert scaled is vision.adjust_brightness
    assert rest == [function for function, _, _ in TORCHVISION]


@pytest.mark.parametrize(('function', 'expected', 'factors'), OWN)
def test_colour_matches_reference(function, expected, factors):
    image = _image()
    actual = _apply(function, torch.tensor(image), factors)
    expected = expected(image, np.array(factors))
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(('function', 'expected', 'factors'), COLOUR)
def test_colour_float32_is_close(function, expected, factors):
    image = _image(1)
    actual = _apply(function, torch.tensor(image).float(), factors)
    assert actual.dtype == torch.float32
    expected = expected(image, np.array(factors))
    np.testing.assert_allclose(actual.numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(('function', 'expected', 'factors'), COLOUR)
def test_neutral_factor_changes_nothing(function, expected, factors):
    image = torch.tensor(_image(2))
    # kornia's guard against black lowers the saturation by 1e-6 / V
    tolerance = 1e-5 if function in (scale_saturation, turn_hue, vision.adjust_hue) else 1e-12
    torch.testing.assert_close(function(image, factors[1]), image, rtol=1e-10, atol=tolerance)


@pytest.mark.parametrize(('function', 'expected', 'factors'), COLOUR)
def test_result_stays_in_range(function, expected, factors):
    image = torch.tensor(_image(3)).round()  # only 0 and 1
    result = _apply(function, image, factors)
    assert result.min() >= 0
    assert result.max() <= 1


@pytest.mark.parametrize(('function', 'expected', 'factors'), COLOUR)
def test_input_is_left_alone(function, expected, factors):
    image = torch.tensor(_image(4))
    before = image.clone()
    _apply(function, image, factors)
    assert torch.equal(image, before)


def _pixels(*colours):
    """Colours as the pixels of one row: (1, 3, 1, N)."""
    return torch.tensor(colours, dtype=torch.float64).T.reshape(1, 3, 1, -1)


def _one(value):
    return torch.tensor([value], dtype=torch.float64)


def test_added_brightness_by_hand():
    # Factor 1.2 adds 0.2, also to black; 0.9 is cut to 1. Scaling would leave black black.
    actual = add_brightness(_pixels((0.5, 0.9, 0.0)), 1.2)
    assert actual.flatten().tolist() == pytest.approx([0.7, 1.0, 0.2], rel=1e-12)


def test_scaled_saturation_by_hand():
    # (1, 0.6, 0.8): V = 1, S = 0.4. Factor 0.5: S = 0.2, the channels move half of their way to V.
    # Factor 3: S = 1, the smallest channel becomes 0 and the middle one stays in the middle.
    colour = _pixels((1.0, 0.6, 0.8))
    half = scale_saturation(colour, 0.5).flatten().tolist()
    assert half == pytest.approx([1.0, 0.8, 0.9], abs=1e-6)
    full = scale_saturation(colour, 3.0).flatten().tolist()
    assert full == pytest.approx([1.0, 0.0, 0.5], abs=1e-6)


def test_hue_by_hand():
    # A third of the circle: red -> green -> blue -> red. Half: red -> cyan. Grey has no hue.
    colours = _pixels((1, 0, 0), (0, 1, 0), (0, 0, 1), (0.4, 0.4, 0.4), (0, 0, 0))
    actual = adjust_hue(colours, 1 / 3)[0, :, 0].T
    expected = [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0.4] * 3, [0] * 3]
    torch.testing.assert_close(actual, torch.tensor(expected).double(), rtol=0, atol=1e-7)
    half = adjust_hue(_pixels((1, 0, 0)), 0.5).flatten().tolist()
    assert half == pytest.approx([0, 1, 1], abs=1e-12)


@pytest.mark.parametrize('radius', [2, 5])
def test_blur_matches_reference(radius):
    image, sigma = _image(6, (2, 3, 9, 11)), np.array([0.4, 1.15])
    actual = gaussian_blur(torch.tensor(image), torch.tensor(sigma), radius=radius)
    expected = reference.gaussian_blur(image, sigma, radius)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-10)


def test_blur_float32_is_close():
    image, sigma = _image(7, (2, 3, 9, 11)), np.array([0.15, 1.0])
    actual = gaussian_blur(torch.tensor(image).float(), torch.tensor(sigma).float())
    assert actual.dtype == torch.float32
    np.testing.assert_allclose(
        actual.numpy(), reference.gaussian_blur(image, sigma), rtol=0, atol=1e-5
    )


def test_blur_by_hand():
    # A single 1 in the middle of 11 x 11, sigma 1: the taps at 0 and 1 differ by exp(-1/2), the
    # corner of the 3 x 3 by exp(-1); the sum is 1.
    image = torch.zeros(1, 1, 13, 13, dtype=torch.float64).expand(1, 3, 13, 13).clone()
    image[:, :, 6, 6] = 1
    blurred = gaussian_blur(image, _one(1.0))[0, 0]
    assert blurred[6, 7] / blurred[6, 6] == pytest.approx(np.exp(-0.5), rel=1e-10)
    assert blurred[5, 7] / blurred[6, 6] == pytest.approx(np.exp(-1), rel=1e-10)
    assert blurred.sum() == pytest.approx(1, rel=1e-12)
    assert blurred[0].abs().sum() == 0, 'five pixels reach from row 6 to row 1'
    assert blurred[1, 6] > 0


def test_blur_keeps_a_flat_image():
    # No dark frame at the border.
    flat = torch.full((2, 3, 8, 9), 0.37, dtype=torch.float64)
    sigma = torch.tensor([0.15, 1.15], dtype=torch.float64)
    torch.testing.assert_close(gaussian_blur(flat, sigma), flat, rtol=1e-10, atol=0)


def test_blur_has_its_own_sigma_per_image():
    # Sigma 0.15: the neighbours weigh exp(-22) = 2e-10, the image stays as it is.
    image = torch.tensor(_image(8, (2, 3, 9, 9)))
    actual = gaussian_blur(image, torch.tensor([0.15, 1.15], dtype=torch.float64))
    torch.testing.assert_close(actual[0], image[0], rtol=0, atol=1e-8)
    assert (actual[1] - image[1]).abs().max() > 0.1
    alone = gaussian_blur(image[1:], torch.tensor([1.15], dtype=torch.float64))
    torch.testing.assert_close(actual[1:], alone, rtol=1e-12, atol=1e-12)


def test_radius_five_holds_the_kernel():
    # At the largest sigma, 1.15, the mass beyond 5.5 pixels is erfc(5.5 / (1.15 sqrt 2)) = 1.7e-6:
    # a radius of 5 and one of 8 differ by no more than that.
    image = torch.tensor(_image(9, (1, 3, 20, 20)))
    five, eight = (gaussian_blur(image, _one(1.15), radius=r) for r in (5, 8))
    assert (five - eight).abs().max() < 1e-5
