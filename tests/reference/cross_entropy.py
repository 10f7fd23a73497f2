"""Cross-entropy weighted per pixel and averaged over all pixels [6], [14].

Numbers in brackets are equations of arXiv 2310.04747.
"""

import math

import numpy as np


def weighted_cross_entropy(
    logits: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None, ignore: int = 255
) -> float:
    """sum of weight x -log softmax over labelled pixels, divided by the number of *all* pixels."""
    total = 0.0
    for b, y, x in np.ndindex(*label.shape):
        if label[b, y, x] == ignore:
            continue
        scores = logits[b, :, y, x].astype(np.float64)
        top = scores.max()
        log_sum = top + math.log(sum(math.exp(s - top) for s in scores))
        value = log_sum - scores[label[b, y, x]]
        total += value if weight is None else float(weight[b, y, x]) * value
    return total / label.size
