"""Where a synthetic view's pixels lie, pixel by pixel; lengths in half images, flows in pixels."""

import math

import numpy as np


def grid(size):
    """(H, W, 2) positions (x, y), -1..1."""
    height, width = size
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing='ij')
    return np.stack((x, y), axis=2)


def in_pixels(shift, size):
    """(H, W, 2) in half images -> (2, H, W) in pixels."""
    return np.stack((shift[..., 0] * (size[1] - 1) / 2, shift[..., 1] * (size[0] - 1) / 2))


def homography_flow(corners, size):
    """(4, 2) shifts of the corners: eight linear equations for the eight unknowns."""
    start = np.array([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    rows, values = [], []
    for (x, y), (u, v) in zip(start, start + corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    matrix = np.append(np.linalg.solve(np.array(rows), np.array(values)), 1).reshape(3, 3)
    points = grid(size)
    mapped = np.concatenate((points, np.ones((*size, 1))), axis=2) @ matrix.T
    return in_pixels(mapped[..., :2] / mapped[..., 2:] - points, size)


def thin_plate_map(shifts, point):
    """Where the spline through the 3x3 control points sends one point."""
    control = [np.array([x, y]) for y in (-1.0, 0.0, 1.0) for x in (-1.0, 0.0, 1.0)]

    def bend(a, b):
        r2 = float(((a - b) ** 2).sum())
        return r2 * math.log(r2) if r2 > 0 else 0.0

    system = np.zeros((12, 12))
    for i, a in enumerate(control):
        for j, b in enumerate(control):
            system[i, j] = bend(a, b)
        system[i, 9:] = system[9:, i] = (1, *a)
    wanted = np.zeros((12, 2))
    wanted[:9] = np.array(control) + shifts
    weights = np.linalg.solve(system, wanted)
    basis = [bend(point, a) for a in control] + [1, *point]
    return np.array(basis) @ weights


def thin_plate_flow(shifts, size, affine=None):
    """(9, 2) shifts, row by row; then `affine` (2, 3)."""
    points = grid(size)
    mapped = np.array([[thin_plate_map(shifts, p) for p in row] for row in points])
    if affine is not None:
        mapped = mapped @ affine[:, :2].T + affine[:, 2]
    return in_pixels(mapped - points, size)


def elastic_flow(noise, sigma, amplitude, size):
    """(2, n, m) noise: a weighted mean of the nodes, around each pixel."""
    count_y, count_x = noise.shape[1:]
    flow = np.zeros((2, *size))
    for y in range(size[0]):
        for x in range(size[1]):
            weights = np.zeros((count_y, count_x))
            for i in range(count_y):
                for j in range(count_x):
                    at_y = (i + 0.5) * size[0] / count_y - 0.5
                    at_x = (j + 0.5) * size[1] / count_x - 0.5
                    square = (y - at_y) ** 2 + (x - at_x) ** 2
                    weights[i, j] = math.exp(-square / (2 * sigma**2))
            flow[:, y, x] = (noise * weights).sum(axis=(1, 2)) / weights.sum()
    return flow * amplitude * math.sqrt(count_y * count_x / (size[0] * size[1]))


def soft_windows(centres, sigmas, used, size):
    """(N, 2), (N,), (N,) -> (H, W)."""
    total = np.zeros(size)
    for (x, y), sigma, use in zip(centres, sigmas, used, strict=True):
        for row in range(size[0]):
            for column in range(size[1]):
                square = (column - x) ** 2 + (row - y) ** 2
                height = min(2 * math.exp(-square / (2 * sigma**2)), 1)
                total[row, column] += height if use else 0
    return np.minimum(total, 1)
