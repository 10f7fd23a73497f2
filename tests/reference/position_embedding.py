"""Position embeddings resampled as DINOv2's published code does, cell by cell in float64."""

import numpy as np


def cubic(distance: float, a: float = -0.75) -> float:
    """Keys' cubic convolution kernel."""
    d = abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0


def weights(new: int, old: int) -> np.ndarray:
    """`(new, old)`: how much of each old entry a new one takes, with the border repeated."""
    matrix = np.zeros((new, old))
    for i in range(new):
        place = (i + 0.5) * old / (new + 0.1) - 0.5
        for j in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            matrix[i, min(max(j, 0), old - 1)] += cubic(place - j)
    return matrix


def antialiased_weights(new: int, old: int) -> np.ndarray:
    """The same with the kernel of Catmull and Rom, as wide as a new cell and cut at the border."""
    width = max(old / new, 1.0)
    places = (np.arange(old) + 0.5 - (np.arange(new)[:, None] + 0.5) * old / new) / width
    matrix = np.vectorize(lambda distance: cubic(distance, a=-0.5))(places)
    return matrix / matrix.sum(axis=1, keepdims=True)


def hub_positions(table: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """`(1, N, D)` -> `(1, rows * columns, D)`, for networks without registers."""
    return resampled(table, grid, weights)


def register_positions(table: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The same for networks with registers: to a size, with antialiasing."""
    return resampled(table, grid, antialiased_weights)


def resampled(table: np.ndarray, grid: tuple[int, int], weights) -> np.ndarray:
    side = round(table.shape[1] ** 0.5)
    if grid == (side, side):
        return table
    square = table.reshape(side, side, -1).astype(np.float64)
    moved = np.einsum('ri,cj,ijd->rcd', weights(grid[0], side), weights(grid[1], side), square)
    return moved.reshape(1, grid[0] * grid[1], -1)
