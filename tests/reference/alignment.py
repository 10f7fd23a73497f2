"""End-point error, PCK and sparsification in float64, pixel by pixel, without NumPy's sums."""

from collections.abc import Sequence

import numpy as np


def end_point_errors(flow: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> list[float]:
    """Errors of two flows `(2, H, W)` at the pixels of a mask `(H, W)`, row by row."""
    height, width = mask.shape
    errors = []
    for y in range(height):
        for x in range(width):
            if mask[y, x]:
                dx, dy = (float(flow[i, y, x]) - float(truth[i, y, x]) for i in range(2))
                errors.append((dx * dx + dy * dy) ** 0.5)
    return errors


def aepe(images: Sequence[Sequence[float]]) -> float:
    """Mean over the images that have pixels of the mean error of an image."""
    means = [sum(errors) / len(errors) for errors in images if len(errors)]
    return sum(means) / len(means)


def pck(images: Sequence[Sequence[float]], threshold: float) -> float:
    """Percent of all pixels of all images with an error up to the threshold."""
    pixels = [error for errors in images for error in errors]
    return 100 * sum(error <= threshold for error in pixels) / len(pixels)


def sparsification_curve(error: Sequence[float], order: Sequence[float]) -> list[float]:
    """Mean error of what is left, relative to all, after removing 0, 5, ... 95 % by `order`."""
    pixels = sorted(range(len(error)), key=lambda i: order[i])
    mean = sum(error) / len(error)
    values = []
    for step in range(20):
        # whole pixels, and one of them always stays; integers, so that nothing is rounded
        left = pixels[: len(pixels) - min(step * len(pixels) // 20, len(pixels) - 1)]
        values.append(sum(error[i] for i in left) / len(left) / mean)
    return values


def area(curve: Sequence[float]) -> float:
    """Trapezoids between 20 values at equal distances, as a mean over the fractions."""
    return sum((a + b) / 2 for a, b in zip(curve[:-1], curve[1:], strict=True)) / (len(curve) - 1)
