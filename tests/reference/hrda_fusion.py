"""HRDA's fusion at inference as published: boxes truncated to whole cells; float64, one image."""

import numpy as np


def starts(length: int, window: int) -> list[int]:
    """Offsets of windows with half their size as step, the last one shifted to the border."""
    step = window // 2
    number = max(length - window + step - 1, 0) // step + 1
    return [min(i * step, length - window) for i in range(number)]


def boxes(height: int, width: int) -> list[tuple[int, int, int, int]]:
    """(top, bottom, left, right) in pixels, row by row."""
    h, w = height // 2, width // 2
    return [(y, y + h, x, x + w) for y in starts(height, h) for x in starts(width, w)]


def double(maps: np.ndarray) -> np.ndarray:
    """Twice the size along the last two axes, bilinear, `align_corners=False`."""
    for axis in (-2, -1):
        maps = np.moveaxis(maps, axis, -1)
        before = np.concatenate([maps[..., :1], maps[..., :-1]], -1)
        after = np.concatenate([maps[..., 1:], maps[..., -1:]], -1)
        even, odd = 0.25 * before + 0.75 * maps, 0.75 * maps + 0.25 * after
        maps = np.stack([even, odd], -1).reshape(*maps.shape[:-1], -1)
        maps = np.moveaxis(maps, -1, axis)
    return maps


def fuse(
    context: np.ndarray, attention: np.ndarray, windows: list[np.ndarray], size: tuple[int, int]
) -> np.ndarray:
    """Logits at 1/4 of the image.

    Args:
        context: (K, h, w) of the image at half size.
        attention: (K, h, w) in [0, 1].
        windows: (K, h, w) each, in the order of `boxes`.
        size: (height, width) of the image, multiples of 8.
    """
    classes = len(context)
    total = np.zeros((classes, size[0] // 4, size[1] // 4))
    count = np.zeros(total.shape[1:])
    for logits, (top, bottom, left, right) in zip(windows, boxes(*size), strict=True):
        place = (slice(int(top / 4), int(bottom / 4)), slice(int(left / 4), int(right / 4)))
        total[(slice(None), *place)] += logits
        count[place] += 1
    return double(attention) * total / count + double((1 - attention) * context)
