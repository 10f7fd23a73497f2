"""Distance of the student's features to a frozen copy of the start encoder, on things only."""

import math

import numpy as np

from .prototypes import label_shares


def feature_distance(
    student: np.ndarray,
    frozen: np.ndarray,
    label: np.ndarray,
    class_ids,
    num_classes: int,
    min_ratio: float = 0.75,
) -> float:
    """Mean over the masked cells of the L2 norm of (student - frozen); 0 for an empty mask.

    A cell is masked if one class of ``class_ids`` has at least ``min_ratio`` of its pixels.
    """
    shares = label_shares(label, student.shape[2:], num_classes)
    norms = []
    for b, i, j in np.ndindex(shares.shape[0], *shares.shape[2:]):
        largest = int(np.argmax(shares[b, :, i, j]))
        if shares[b, largest, i, j] >= min_ratio and largest in class_ids:
            difference = student[b, :, i, j] - frozen[b, :, i, j]
            norms.append(math.sqrt(float(difference @ difference)))
    return sum(norms) / len(norms) if norms else 0.0
