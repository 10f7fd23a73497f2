"""Class-wise mixing of a source and a target image (paper equations 1 to 4, after ClassMix)."""

import torch
from torch import Tensor


def present_classes(label: Tensor, num_classes: int) -> Tensor:
    """Which classes occur in each label map.

    Args:
        label: `(B, H, W)` int64; ids outside `0..num_classes-1` (255 = ignore) are no class.
        num_classes: `C`.

    Returns:
        `(B, C)` bool. No host synchronisation.
    """
    flat = label.flatten(1)
    flat = torch.where((flat >= 0) & (flat < num_classes), flat, num_classes)
    counts = torch.zeros(
        label.shape[0], num_classes + 1, dtype=torch.int32, device=label.device
    ).scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.int32))
    return counts[:, :num_classes] > 0


def draw_half(present: Tensor, scores: Tensor) -> Tensor:
    """The ceil(half) of the present classes that have the highest scores [1].

    With independent uniform scores every subset of that size is equally likely.

    Args:
        present: `(B, C)` bool.
        scores: `(B, C)` random numbers, floating.

    Returns:
        `(B, C)` bool, a subset of `present`.
    """
    scores = scores.masked_fill(~present, -torch.inf)
    rank = scores.argsort(dim=1, descending=True).argsort(dim=1)
    half = (present.sum(dim=1, keepdim=True) + 1) // 2
    return (rank < half) & present


def class_mask(label: Tensor, selected: Tensor) -> Tensor:
    """Pixels whose class is selected; ignore pixels never are.

    Args:
        label: `(B, H, W)` int64.
        selected: `(B, C)` bool.

    Returns:
        `(B, 1, H, W)` bool.
    """
    # one more column, always False, takes the ignore pixels
    table = torch.nn.functional.pad(selected, (0, 1))
    num_classes = selected.shape[1]
    index = torch.where((label >= 0) & (label < num_classes), label, num_classes)
    return table.gather(1, index.flatten(1)).view(label.shape)[:, None]


def mix(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """`M * source + (1 - M) * target` [3], [4].

    Args:
        mask: `(B, 1, H, W)` bool.
        source: `(B, C, H, W)` image or `(B, H, W)` label, taken where `mask` is True.
        target: Same shape, taken elsewhere.
    """
    return torch.where(mask if source.dim() == 4 else mask[:, 0], source, target)
