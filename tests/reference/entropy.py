"""Entropy of a distribution over classes, relative to the largest possible one."""

import math

import numpy as np


def normalized_entropy(prob: np.ndarray) -> np.ndarray:
    """H(p) / log C per pixel, with 0 log 0 = 0: (B, C, H, W) -> (B, H, W) in 0..1."""
    batch, classes, height, width = prob.shape
    result = np.zeros((batch, height, width))
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                for c in range(classes):
                    p = float(prob[b, c, y, x])
                    if p > 0:
                        result[b, y, x] -= p * math.log(p)
    return result / math.log(classes)
