"""Holistic refinement: the night prediction and the warped day prediction, blended per channel."""

import numpy as np

from .entropy import normalized_entropy
from .softmax import softmax


def trust_factor(prob: np.ndarray, gamma: float) -> np.ndarray:
    """s = (mean over pixels of H(p_n) / log C) ^ gamma, one number per image."""
    entropy = normalized_entropy(prob)
    return np.array([one.mean() ** gamma for one in entropy])


def static_agreement(prob_n: np.ndarray, prob_d: np.ndarray, static_ids) -> np.ndarray:
    """M: true on the static channels of the pixels where both arg-maxes are static classes."""
    batch, classes, height, width = prob_n.shape
    result = np.zeros(prob_n.shape, dtype=bool)
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                night = int(np.argmax(prob_n[b, :, y, x]))
                day = int(np.argmax(prob_d[b, :, y, x]))
                if night in static_ids and day in static_ids:
                    for c in static_ids:
                        result[b, c, y, x] = True
    return result


def refine(
    logits_n: np.ndarray,
    logits_d: np.ndarray,
    confidence: np.ndarray,
    valid: np.ndarray,
    static_ids,
    gamma: float,
) -> np.ndarray:
    """y' = (1 - eps) p_n + eps p_d, eps = s max(P, M), 0 where the warp is invalid.

    ``confidence`` is (B, 1, H, W), ``valid`` (B, H, W). The result need not sum to one.
    """
    prob_n, prob_d = softmax(logits_n.astype(np.float64)), softmax(logits_d.astype(np.float64))
    trust = trust_factor(prob_n, gamma)
    agreement = static_agreement(prob_n, prob_d, static_ids)
    batch, classes, height, width = prob_n.shape
    result = np.empty(prob_n.shape)
    for b in range(batch):
        for c in range(classes):
            for y in range(height):
                for x in range(width):
                    match = 1.0 if agreement[b, c, y, x] else float(confidence[b, 0, y, x])
                    eps = trust[b] * match if valid[b, y, x] else 0.0
                    result[b, c, y, x] = (1 - eps) * prob_n[b, c, y, x] + eps * prob_d[b, c, y, x]
    return result
