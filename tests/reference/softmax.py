"""Softmax over a chosen axis."""

import numpy as np


def softmax(logits: np.ndarray, axis: int = 1) -> np.ndarray:
    """exp(x) / sum exp(x), shifted by the maximum so that nothing overflows."""
    shifted = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return shifted / shifted.sum(axis=axis, keepdims=True)
