"""Distance of encoder features to those of a frozen encoder on thing classes (DAFormer)."""

import torch
from torch import Tensor

from dsr_nss.functional.prototypes import label_shares


def dominant_class_mask(
    label: Tensor, size: tuple[int, int], counted: Tensor, min_ratio: float
) -> Tensor:
    """Cells in which one of the `counted` classes covers at least `min_ratio` of the pixels.

    Args:
        label: `(B, H, W)` int64.
        size: `(h, w)` of the feature map.
        counted: `(C,)` bool, True for the classes that count.
        min_ratio: Smallest share, in (0.5, 1], so that at most one class can reach it.

    Returns:
        `(B, h, w)` bool.
    """
    shares = label_shares(label, size, len(counted))
    return ((shares >= min_ratio) & counted.view(1, -1, 1, 1)).any(dim=1)


def feature_distance(
    student: Tensor,
    frozen: Tensor,
    label: Tensor,
    counted: Tensor,
    min_ratio: float = 0.75,
) -> Tensor:
    """Mean L2 norm over channels of `student - frozen` over the masked cells.

    Args:
        student: `(B, D, h, w)` features that receive the gradient.
        frozen: `(B, D, h, w)` features of the frozen encoder.
        label: `(B, H, W)` int64 source label.
        counted: `(C,)` bool, True for the classes whose cells count.
        min_ratio: Share of a cell that the class must cover.

    Returns:
        0-dimensional; a finite zero that keeps the graph when no cell qualifies (a plain mean over
        an empty mask is NaN, a well-known false alarm of the base methods).
    """
    mask = dominant_class_mask(label, student.shape[-2:], counted, min_ratio)
    dtype = torch.promote_types(student.dtype, torch.float32)
    difference = student.to(dtype) - frozen.detach().to(dtype)
    # squares of unmasked cells are zeroed before the root, whose gradient at 0 would be infinite
    square = difference.pow(2).sum(dim=1)
    safe = torch.where(mask & (square > 0), square, torch.ones_like(square))
    norm = torch.where(mask & (square > 0), safe.sqrt(), square * 0)
    return norm.sum() / mask.sum().clamp(min=1)
