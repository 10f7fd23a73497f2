"""Class-wise mixing of a source and a target image [1] to [4], after ClassMix.

Numbers in brackets are equations of arXiv 2310.04747.
"""

import torch
from torch import Tensor


def present_classes(label: Tensor, num_classes: int, with_ignore: bool = False) -> Tensor:
    """Which classes occur in each label map.

    Args:
        label: `(B, H, W)` int64; ids outside `0..num_classes-1` (255 = ignore) are no class.
        num_classes: `C`.
        with_ignore: Whether the ids that are no class count as one more class, the last column.

    Returns:
        `(B, C)` bool, or `(B, C + 1)` with `with_ignore`. No host synchronisation.
    """
    flat = label.flatten(1)
    flat = torch.where((flat >= 0) & (flat < num_classes), flat, num_classes)
    counts = torch.zeros(
        label.shape[0], num_classes + 1, dtype=torch.int32, device=label.device
    ).scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.int32))
    return counts[:, : num_classes + with_ignore] > 0


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


def class_mask(label: Tensor, selected: Tensor, with_ignore: bool = False) -> Tensor:
    """Pixels whose class is selected; ignore pixels are not, unless `selected` speaks of them.

    Args:
        label: `(B, H, W)` int64.
        selected: `(B, C)` bool, or `(B, C + 1)` with `with_ignore`.
        with_ignore: Whether the last column of `selected` says if ignore pixels are taken.

    Returns:
        `(B, 1, H, W)` bool.
    """
    # one more column takes the ignore pixels
    table = selected if with_ignore else torch.nn.functional.pad(selected, (0, 1))
    num_classes = table.shape[1] - 1
    index = torch.where((label >= 0) & (label < num_classes), label, num_classes)
    return table.gather(1, index.flatten(1)).view(label.shape)[:, None]


def add_companions(selected: Tensor, present: Tensor, rules: Tensor) -> Tensor:
    """Select further classes that belong to selected ones, rule after rule.

    Args:
        selected: `(B, C)` bool.
        present: `(B, C)` bool; only present classes are added.
        rules: `(R, 2, C)` bool: where any class of `rules[r, 0]` is selected, those of
            `rules[r, 1]` are selected as well.

    Returns:
        `(B, C)` bool.
    """
    for triggers, added in rules:
        hit = (selected & triggers).any(dim=1, keepdim=True)
        selected = selected | (hit & added & present)
    return selected


def mix(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """`M * source + (1 - M) * target` [3], [4].

    Args:
        mask: `(B, 1, H, W)` bool.
        source: `(B, C, H, W)` image or `(B, H, W)` label, taken where `mask` is True.
        target: Same shape, taken elsewhere.
    """
    return torch.where(mask if source.dim() == 4 else mask[:, 0], source, target)
