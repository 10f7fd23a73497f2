"""Feature prototype alignment [8]-[13]: class means of one image attract features of another.

Numbers in brackets are equations of arXiv 2310.04747.
"""

import math

import numpy as np


def label_shares(label: np.ndarray, size: tuple[int, int], num_classes: int) -> np.ndarray:
    """Share of each cell's pixels that carry class c: (B, H, W) -> (B, C, h, w).

    All pixels of the cell are in the denominator, so ignore pixels lower the sum below one. Cell i
    of n covers the pixels from floor(i N / n) up to ceil((i + 1) N / n), which may overlap.
    """
    batch, height, width = label.shape
    rows, columns = size
    shares = np.zeros((batch, num_classes, rows, columns))
    for b, c, i, j in np.ndindex(*shares.shape):
        top, bottom = i * height // rows, math.ceil((i + 1) * height / rows)
        left, right = j * width // columns, math.ceil((j + 1) * width / columns)
        cell = label[b, top:bottom, left:right]
        shares[b, c, i, j] = (cell == c).sum() / cell.size
    return shares


def nearest_labels(label: np.ndarray, size: tuple[int, int], num_classes: int) -> np.ndarray:
    """1 for the class of pixel (floor(i H / h), floor(j W / w)) of cell (i, j), 0 elsewhere."""
    batch, height, width = label.shape
    rows, columns = size
    members = np.zeros((batch, num_classes, rows, columns))
    for b, i, j in np.ndindex(batch, rows, columns):
        c = label[b, i * height // rows, j * width // columns]
        if c < num_classes:
            members[b, c, i, j] = 1
    return members


def prototypes(features: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """rho^c: mean feature of class c over the whole batch, weighted by the shares; absent: 0."""
    classes, dim = shares.shape[1], features.shape[1]
    result = np.zeros((classes, dim))
    for c in range(classes):
        weight = shares[:, c].sum()
        if weight > 0:
            for b, i, j in np.ndindex(*shares[:, c].shape):
                result[c] += shares[b, c, i, j] * features[b, :, i, j]
            result[c] /= weight
    return result


def class_weights(
    present_a: np.ndarray, present_b: np.ndarray, long_tail: np.ndarray, form: str = 'ratio'
) -> tuple[np.ndarray, np.ndarray]:
    """W^c [12] and which classes overlap (are present in both domains).

    1 for an overlapping class, (s+1)/s (``ratio``), s + 1/s (``literal``) or 1 (``none``) if it is
    also long-tail, with s the number of overlapping classes; 0 for a class that does not overlap.
    """
    classes = len(present_a)
    overlap = np.array([bool(present_a[c] and present_b[c]) for c in range(classes)])
    s = int(overlap.sum())
    weight = np.zeros(classes)
    for c in range(classes):
        if overlap[c]:
            weight[c] = 1.0
            if long_tail[c]:
                weight[c] = {'ratio': (s + 1) / s, 'literal': s + 1 / s, 'none': 1.0}[form]
    return weight, overlap


def similarity(feature: np.ndarray, prototype: np.ndarray) -> float:
    """Cosine of the angle between two vectors; 0 if either is the zero vector."""
    length = math.sqrt(feature @ feature) * math.sqrt(prototype @ prototype)
    return float(feature @ prototype) / length if length > 0 else 0.0


def alignment_loss(
    features: np.ndarray,
    shares: np.ndarray,
    prototype: np.ndarray,
    weight: np.ndarray,
    overlap: np.ndarray,
    tau: float,
    absent: str = 'drop',
) -> tuple[float, float]:
    """One term [10]: cross-entropy of softmax(S), S^c = cos(f, rho^c) / tau x W^c.

    The mean over the labelled cells, weighted by the shares. ``drop``: a class that does not
    overlap is no candidate of the softmax and its shares take no part; ``zero``: it stays a
    candidate with S = 0 and its shares count; ``kept``: it stays one with W = 1, with a cosine of
    -1 where it has no prototype, and its shares take no part. Without anything that counts the loss
    is 0.

    Returns the loss and the part of the labelled weight that took part.
    """
    batch, classes, rows, columns = shares.shape
    candidates = [c for c in range(classes) if absent != 'drop' or overlap[c]]
    used = [c for c in range(classes) if absent == 'zero' or overlap[c]]
    total = counted = 0.0
    if overlap.any():
        for b, i, j in np.ndindex(batch, rows, columns):
            scores = {}
            for c in candidates:
                cosine = similarity(features[b, :, i, j], prototype[c])
                if absent == 'kept' and not prototype[c].any():
                    cosine = -1.0
                outside = 1.0 if absent == 'kept' else 0.0
                scores[c] = cosine / tau * (weight[c] if overlap[c] else outside)
            log_sum = math.log(sum(math.exp(score) for score in scores.values()))
            for c in used:
                total += shares[b, c, i, j] * (log_sum - scores[c])
                counted += shares[b, c, i, j]
    labelled = shares.sum()
    if counted == 0:
        return 0.0, 0.0
    return total / counted, counted / labelled


def domain_alignment(
    features_a: np.ndarray,
    label_a: np.ndarray,
    features_b: np.ndarray,
    label_b: np.ndarray,
    long_tail: np.ndarray,
    tau: float = 0.1,
    form: str = 'ratio',
    absent: str = 'drop',
    members: str = 'shares',
) -> float:
    """Both directions between two domains [13]: a's features to b's prototypes plus b's to a's.

    ``members``: what forms prototypes and says which classes are present, ``shares`` or
    ``nearest``.
    """
    classes, size = len(long_tail), features_a.shape[2:]
    shares_a = label_shares(label_a, size, classes)
    shares_b = label_shares(label_b, size, classes)
    form_a, form_b = shares_a, shares_b
    if members == 'nearest':
        form_a = nearest_labels(label_a, size, classes)
        form_b = nearest_labels(label_b, size, classes)
    present_a = form_a.sum(axis=(0, 2, 3)) > 0
    present_b = form_b.sum(axis=(0, 2, 3)) > 0
    weight, overlap = class_weights(present_a, present_b, long_tail, form)
    to_b = alignment_loss(
        features_a, shares_a, prototypes(features_b, form_b), weight, overlap, tau, absent
    )
    to_a = alignment_loss(
        features_b, shares_b, prototypes(features_a, form_a), weight, overlap, tau, absent
    )
    return to_b[0] + to_a[0]
