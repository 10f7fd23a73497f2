"""Correlations of two feature maps, one position after the other, in float64."""

import numpy as np


def global_correlation(target: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(B, C, h, w) and (B, C, H, W) -> (B, H * W, h, w), reference positions row by row."""
    batch, _, height, width = target.shape
    rows, columns = reference.shape[2:]
    result = np.zeros((batch, rows * columns, height, width))
    for b in range(batch):
        for k in range(rows * columns):
            there = reference[b, :, k // columns, k % columns].astype(np.float64)
            for y in range(height):
                for x in range(width):
                    result[b, k, y, x] = there @ target[b, :, y, x].astype(np.float64)
    return result


def mutual_matching(correlation: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    """Each value times its shares of the best of its column and of its row."""
    result = np.zeros_like(correlation)
    for index, value in np.ndenumerate(correlation):
        b, k, y, x = index
        of_target = correlation[b, :, y, x].max() + eps
        of_reference = correlation[b, k].max() + eps
        result[index] = value * (value / of_target) * (value / of_reference)
    return result


def local_correlation(target: np.ndarray, reference: np.ndarray, radius: int) -> np.ndarray:
    """Products with the neighbours, row by row of the neighbourhood; zero outside."""
    batch, _, height, width = target.shape
    size = 2 * radius + 1
    result = np.zeros((batch, size * size, height, width))
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                for k in range(size * size):
                    row, column = y + k // size - radius, x + k % size - radius
                    if 0 <= row < height and 0 <= column < width:
                        there = reference[b, :, row, column].astype(np.float64)
                        result[b, k, y, x] = there @ target[b, :, y, x].astype(np.float64)
    return result


def normalize_correlation(correlation: np.ndarray) -> np.ndarray:
    """Negative values to zero, then unit length over the channels (zero stays zero)."""
    positive = np.maximum(correlation, 0)
    length = np.sqrt((positive**2).sum(axis=1, keepdims=True))
    return positive / np.maximum(length, 1e-12)
