"""A dense flow from scattered matches: a weighted least-squares fit at every node, in float64."""

import numpy as np


def fit(
    node: np.ndarray,
    points: np.ndarray,
    flows: np.ndarray,
    scores: np.ndarray,
    sigma: float,
    ridge: float,
    reach: float,
) -> tuple[np.ndarray, float]:
    """Flow (2,) and density at one position (x, y).

    Minimises sum of w |f - a - S^T (p - m)|^2 + (sum of w) ridge sigma^2 |S|^2 over a and S, with m
    the weighted mean of the points.
    """
    distance = ((points - node) ** 2).sum(axis=1)
    density = float((scores * np.exp(-distance / (2 * sigma**2))).sum())
    # weights relative to the nearest match, so that they do not vanish far from all of them
    weights = scores * np.exp(-(distance - distance.min()) / (2 * sigma**2))
    mean = (weights[:, None] * points).sum(axis=0) / weights.sum()
    root = np.sqrt(weights)[:, None]
    design = np.concatenate((np.ones((len(points), 1)), points - mean), axis=1) * root
    penalty = np.sqrt(weights.sum() * ridge) * sigma * np.eye(3)[1:]
    stacked = np.concatenate((design, penalty))
    values = np.concatenate((flows * root, np.zeros((2, 2))))
    solution = np.linalg.lstsq(stacked, values, rcond=None)[0]
    step = node - mean
    length = np.sqrt((step**2).sum())
    if length > reach * sigma:
        step = step * (reach * sigma / length)
    return solution[0] + step @ solution[1:], density


def interpolate_matches(
    points: np.ndarray,
    flows: np.ndarray,
    scores: np.ndarray,
    size: tuple[int, int],
    sigma: float,
    ridge: float,
    reach: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Flow (2, H, W) and density (1, H, W) with a node at every pixel."""
    height, width = size
    flow, density = np.zeros((2, height, width)), np.zeros((1, height, width))
    for y in range(height):
        for x in range(width):
            node = np.array([x, y], dtype=np.float64)
            flow[:, y, x], density[0, y, x] = fit(node, points, flows, scores, sigma, ridge, reach)
    return flow, density
