"""The block mask of masked image consistency, pixel by pixel."""

import math

import numpy as np


def rounded(value: float) -> int:
    """To the nearest whole number, halves to the even one."""
    low = math.floor(value)
    if value - low == 0.5:
        return low + low % 2
    return low + (value - low > 0.5)


def block_grid(size: tuple[int, int], block: int) -> tuple[int, int]:
    return tuple(max(1, rounded(side / block)) for side in size)


def block_mask(noise: np.ndarray, size: tuple[int, int], ratio: float) -> np.ndarray:
    """`(B, 1, h, w)` noise -> `(B, 1, H, W)` of 0 and 1."""
    batch, _, rows, columns = noise.shape
    mask = np.zeros((batch, 1, *size))
    for y in range(size[0]):
        for x in range(size[1]):
            row, column = y * rows // size[0], x * columns // size[1]
            mask[:, 0, y, x] = noise[:, 0, row, column] >= ratio
    return mask
