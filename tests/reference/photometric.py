"""Colour jitter and blur on RGB in 0..1, one factor per image.

As torchvision defines it: brightness multiplies; contrast blends with the image's mean grey;
saturation blends with the pixel's grey; hue turns the colour circle by a share of a full turn. As
kornia 0.5.8 does: brightness adds; contrast multiplies (torchvision's brightness); saturation
multiplies S of HSV; hue turns H. All stay within 0..1.
"""

import colorsys
import math

import numpy as np

GREY = (0.2989, 0.587, 0.114)  # torchvision's digits, which sum to 0.9999


def _grey(image: np.ndarray) -> np.ndarray:
    """(3, H, W) -> (H, W)."""
    return GREY[0] * image[0] + GREY[1] * image[1] + GREY[2] * image[2]


def adjust_brightness(image: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """factor x image, cut to 0..1."""
    return np.stack([np.clip(f * one, 0, 1) for f, one in zip(factor, image, strict=True)])


def adjust_contrast(image: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """factor x image + (1 - factor) x mean grey of the image, cut to 0..1."""
    out = []
    for f, one in zip(factor, image, strict=True):
        out.append(np.clip(f * one + (1 - f) * _grey(one).mean(), 0, 1))
    return np.stack(out)


def adjust_saturation(image: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """factor x image + (1 - factor) x grey of the pixel, cut to 0..1."""
    out = []
    for f, one in zip(factor, image, strict=True):
        out.append(np.clip(f * one + (1 - f) * _grey(one)[None], 0, 1))
    return np.stack(out)


def adjust_hue(image: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Turn the hue by ``shift`` of a full turn; value and saturation stay."""
    out = np.empty(image.shape)
    for b, y, x in np.ndindex(image.shape[0], *image.shape[2:]):
        h, s, v = colorsys.rgb_to_hsv(*(float(value) for value in image[b, :, y, x]))
        out[b, :, y, x] = colorsys.hsv_to_rgb((h + float(shift[b])) % 1.0, s, v)
    return out


def add_brightness(image: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """image + factor - 1, cut to 0..1."""
    return np.stack([np.clip(one + f - 1, 0, 1) for f, one in zip(factor, image, strict=True)])


def scale_saturation(image: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """S of HSV times factor, cut to 1."""
    return _through_hsv(image, factor, lambda h, s, f: (h, min(s * f, 1.0)))


def turn_hue(image: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """H of HSV plus ``shift`` full turns."""
    return _through_hsv(image, shift, lambda h, s, f: ((h + f) % 1.0, s))


def _through_hsv(image: np.ndarray, factor: np.ndarray, change) -> np.ndarray:
    """Kornia's S is chroma / (V + 1e-6), the rest is the usual HSV."""
    out = np.empty(image.shape)
    for b, y, x in np.ndindex(image.shape[0], *image.shape[2:]):
        rgb = [float(value) for value in image[b, :, y, x]]
        h, _, v = colorsys.rgb_to_hsv(*rgb)
        s = (max(rgb) - min(rgb)) / (max(rgb) + 1e-6)
        out[b, :, y, x] = colorsys.hsv_to_rgb(*change(h, s, float(factor[b])), v)
    return out


def gaussian_blur(image: np.ndarray, sigma: np.ndarray, radius: int = 5) -> np.ndarray:
    """Gaussian of ``2 radius + 1`` taps that sum to one; beyond the edge the image is mirrored."""
    batch, channels, height, width = image.shape
    offsets = range(-radius, radius + 1)
    out = np.zeros(image.shape)
    for b in range(batch):
        taps = [math.exp(-(d**2) / (2 * float(sigma[b]) ** 2)) for d in offsets]
        taps = [tap / sum(taps) for tap in taps]
        for y, x in np.ndindex(height, width):
            for dy, share_y in zip(offsets, taps, strict=True):
                for dx, share_x in zip(offsets, taps, strict=True):
                    row, column = _mirror(y + dy, height), _mirror(x + dx, width)
                    out[b, :, y, x] += share_y * share_x * image[b, :, row, column]
    return out


def _mirror(index: int, size: int) -> int:
    """Reflection that does not repeat the edge pixel: -1 -> 1, size -> size - 2."""
    if index < 0:
        return -index
    return 2 * (size - 1) - index if index >= size else index
