"""Sampling the day view at the places that the flow names, and how far to trust a match."""

import math

import numpy as np


def warp(image: np.ndarray, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Backward warp: result(p) = image(p + flow(p)), bilinear, zeros outside.

    ``flow`` is (B, 2, H, W) in pixels, x first. A position is valid strictly inside the image: on
    the first or last row or column it is not. A sample whose flow is zero everywhere is not warped
    at all: its image comes back and every position is valid.
    """
    batch, channels, height, width = image.shape
    warped = np.zeros((batch, channels, height, width))
    valid = np.zeros((batch, height, width), dtype=bool)
    for b in range(batch):
        if not flow[b].any():
            warped[b], valid[b] = image[b], True
            continue
        for y in range(height):
            for x in range(width):
                at_x = x + float(flow[b, 0, y, x])
                at_y = y + float(flow[b, 1, y, x])
                valid[b, y, x] = 0 < at_x < width - 1 and 0 < at_y < height - 1
                left, top = math.floor(at_x), math.floor(at_y)
                for row, share_y in ((top, top + 1 - at_y), (top + 1, at_y - top)):
                    for column, share_x in ((left, left + 1 - at_x), (left + 1, at_x - left)):
                        if 0 <= row < height and 0 <= column < width:
                            warped[b, :, y, x] += share_y * share_x * image[b, :, row, column]
    return warped, valid


def match_confidence(log_variance: np.ndarray, radius: float = 1.0) -> np.ndarray:
    """P = 1 - exp(-R^2 / (2 s2)): the chance that a match lies within ``radius`` pixels."""
    variance = np.exp(log_variance.astype(np.float64))
    return 1.0 - np.exp(-(radius**2) / (2.0 * variance))
