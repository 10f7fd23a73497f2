"""Cutting whole classes out of a source image and laying them over a night image [1]-[4].

Numbers in brackets are equations of arXiv 2310.04747.
"""

import math

import numpy as np


def present_classes(label: np.ndarray, num_classes: int) -> np.ndarray:
    """(B, H, W) ids -> (B, C): which classes each image shows. 255 is no class."""
    return np.array([[bool((one == c).any()) for c in range(num_classes)] for one in label])


def draw_half(present: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Per image the ceil(half) present classes with the highest scores (uniform scores: M_r)."""
    drawn = np.zeros(present.shape, dtype=bool)
    for b in range(len(present)):
        ids = [c for c in range(present.shape[1]) if present[b, c]]
        ids.sort(key=lambda c: scores[b, c], reverse=True)
        for c in ids[: math.ceil(len(ids) / 2)]:
            drawn[b, c] = True
    return drawn


def class_mask(label: np.ndarray, selected: np.ndarray) -> np.ndarray:
    """(B, 1, H, W): pixels whose class is selected for their image; never an ignore pixel."""
    batch, height, width = label.shape
    mask = np.zeros((batch, 1, height, width), dtype=bool)
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                c = int(label[b, y, x])
                mask[b, 0, y, x] = c < selected.shape[1] and bool(selected[b, c])
    return mask


def mix(mask: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """M_c X_s + (1 - M_c) X_n, for images (B, 3, H, W) and for labels (B, H, W)."""
    if source.ndim == 3:
        return mix(mask, source[:, None], target[:, None])[:, 0]
    result = target.copy()
    for b, _, y, x in np.argwhere(mask):
        result[b, :, y, x] = source[b, :, y, x]
    return result
