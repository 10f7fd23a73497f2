"""What the teacher believes, and how sure it is as a whole."""

import numpy as np


def pseudo_label(prob: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Arg-max and maximum over the classes of (B, C, H, W), which are not renormalised."""
    return prob.argmax(axis=1), prob.max(axis=1)


def confident_share(confidence: np.ndarray, threshold: float) -> float:
    """One number for the whole batch: the share of pixels at or above ``threshold``."""
    sure = sum(1 for value in confidence.ravel() if value >= threshold)
    return sure / confidence.size
