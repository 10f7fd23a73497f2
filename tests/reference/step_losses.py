"""The terms of a step that need a gradient, in torch; each is compared with the loops beside it.

Numbers in brackets are equations of arXiv 2310.04747.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import prototypes
from .cross_entropy import weighted_cross_entropy


def alignment_term(
    maps: Tensor, label: np.ndarray, other_maps: Tensor, other_label: np.ndarray, m: Any
) -> tuple[Tensor, float, set[int]]:
    """[8]-[12]: features of one domain against the prototypes of another.

    Args:
        maps: `(B, D, h, w)`.
        label: `(B, H, W)`.
        other_maps: Of the other domain, as `maps`.
        other_label: As `label`.
        m: A `Method`.

    Returns:
        The loss, the share that took part, and the long-tail classes that occur in both.
    """
    shares = prototypes.label_shares(label, maps.shape[2:], m.classes)
    other_shares = prototypes.label_shares(other_label, other_maps.shape[2:], m.classes)
    long_tail = np.array([c in m.long_tail for c in range(m.classes)])
    weight, overlap = prototypes.class_weights(
        shares.sum(axis=(0, 2, 3)) > 0, other_shares.sum(axis=(0, 2, 3)) > 0, long_tail, m.reweight
    )
    rho = {
        c: sum(
            share * feature
            for share, feature in zip(other_shares[:, c].ravel(), cells(other_maps), strict=True)
        )
        / other_shares[:, c].sum()
        for c in range(m.classes)
        if overlap[c]
    }
    total, mass = maps.new_zeros(()), 0.0
    used = [c for c in range(m.classes) if overlap[c] or m.absent == 'zero']
    for (b, i, j), feature in zip(np.ndindex(*shares[:, 0].shape), cells(maps), strict=True):
        # a class without prototype has S = 0: [10] as it is printed
        scores = [
            feature @ rho[c] / (feature.norm() * rho[c].norm()) / m.tau * weight[c]
            if overlap[c]
            else maps.new_zeros(())
            for c in used
        ]
        log_sum = torch.logsumexp(torch.stack(scores), dim=0)
        for c, score in zip(used, scores, strict=True):
            total = total + shares[b, c, i, j] * (log_sum - score)
            mass += shares[b, c, i, j]
    share = mass / shares.sum()
    value, expected_share = prototypes.alignment_loss(
        maps.detach().numpy(), shares,
        prototypes.prototypes(other_maps.detach().numpy(), other_shares),
        weight, overlap, m.tau, m.absent,
    )  # fmt: skip
    agree(total / mass, value)
    assert abs(share - expected_share) < 1e-12
    return total / mass, share, {c for c in m.long_tail if overlap[c]}


def cells(maps: Tensor) -> Sequence[Tensor]:
    """The feature of each cell, image by image and row by row."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2).unbind()


def cross_entropy(logits: Tensor, label: np.ndarray, weight: np.ndarray | None) -> Tensor:
    """[6]: logits brought to the label's size; the mean over all pixels, the ignored ones too."""
    logits = resize(logits, label.shape[1:])
    surprise = torch.logsumexp(logits, dim=1, keepdim=True) - logits
    factor = np.ones(label.shape) if weight is None else weight
    total = logits.new_zeros(())
    for c in range(logits.shape[1]):
        total = total + (surprise[:, c] * torch.from_numpy(factor * (label == c))).sum()
    value = total / label.size
    agree(value, weighted_cross_entropy(logits.detach().numpy(), label, weight))
    return value


def agree(value: Tensor, reference: float) -> None:
    """The term with a gradient is the term of the loops."""
    assert abs(value.item() - reference) <= 1e-9 * abs(reference)


def halve(image: Tensor) -> Tensor:
    """The context: means of 2 x 2 pixels."""
    rows = (image[..., 0::2, :] + image[..., 1::2, :]) / 2
    return (rows[..., 0::2] + rows[..., 1::2]) / 2


def resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, `align_corners=False`, along the last two axes."""
    rows, columns = (
        bilinear_weights(old, new) for old, new in zip(maps.shape[-2:], size, strict=True)
    )
    return rows @ maps @ columns.T


def bilinear_weights(old: int, new: int) -> Tensor:
    """`(new, old)`: which share of each old sample goes into each new one."""
    weights = torch.zeros(new, old, dtype=torch.float64)
    for i in range(new):
        position = min(max((i + 0.5) * old / new - 0.5, 0), old - 1)
        lower = int(position)
        weights[i, lower] += 1 - (position - lower)
        weights[i, min(lower + 1, old - 1)] += position - lower
    return weights
