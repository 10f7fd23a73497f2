"""Prototypes and their alignment across domains [8] to [13].

Numbers in brackets are equations of arXiv 2310.04747.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def label_shares(label: Tensor, size: tuple[int, int], num_classes: int) -> Tensor:
    """Area pooling of the one-hot label: thin poles survive the low resolution as fractions.

    Args:
        label: `(B, H, W)` int64; ids outside `0..num_classes-1` (255 = ignore) contribute nothing.
        size: `(h, w)` of the feature map.
        num_classes: `C`.

    Returns:
        `(B, C, h, w)` float32: the share of the cell's pixels that carry the class. The shares of a
        cell add up to its share of labelled pixels.
    """
    height, width = label.shape[-2:]
    index = torch.where((label >= 0) & (label < num_classes), label, num_classes)
    if height % size[0] == 0 and width % size[1] == 0:
        return _exact_shares(index, size, num_classes)
    one_hot = F.one_hot(index, num_classes + 1)[..., :num_classes].permute(0, 3, 1, 2)
    return F.adaptive_avg_pool2d(one_hot.float(), size)


def _exact_shares(index: Tensor, size: tuple[int, int], num_classes: int) -> Tensor:
    """Shares by counting, for cells of whole pixels: no `(B, C, H, W)` one-hot map in memory."""
    (batch, height, width), (h, w) = index.shape, size
    cells = (
        index.view(batch, h, height // h, w, width // w).transpose(2, 3).reshape(batch, h * w, -1)
    )
    counts = torch.zeros(batch, h * w, num_classes + 1, device=index.device)
    counts.scatter_add_(2, cells, torch.ones_like(cells, dtype=counts.dtype))
    shares = counts[..., :num_classes] / cells.shape[-1]
    return shares.transpose(1, 2).reshape(batch, num_classes, h, w)


def nearest_labels(label: Tensor, size: tuple[int, int], num_classes: int) -> Tensor:
    """One-hot label of the pixel that nearest-neighbour resizing picks: how the authors shrink.

    Args:
        label: `(B, H, W)` int64 class ids; ids outside `0..num_classes-1` (255 = ignore) give 0.
        size: `(h, w)` of the feature map.
        num_classes: `C`.

    Returns:
        `(B, C, h, w)` float32, 1 for the class of the picked pixel; 0 everywhere where it is
        ignored.
    """
    picked = F.interpolate(label[:, None].to(torch.float32), size)[:, 0].long()
    index = torch.where((picked >= 0) & (picked < num_classes), picked, num_classes)
    return F.one_hot(index, num_classes + 1)[..., :num_classes].permute(0, 3, 1, 2).float()


def prototypes(features: Tensor, shares: Tensor) -> Tensor:
    """`rho^c`: mean feature of class `c` over the whole batch, weighted by the shares [8].

    Args:
        features: `(B, D, h, w)`.
        shares: `(B, C, h, w)` of :func:`label_shares`.

    Returns:
        `(C, D)`; zeros for a class that does not occur.
    """
    shares = shares.to(features.dtype)
    total = torch.einsum('bchw,bdhw->cd', shares, features)
    mass = shares.sum(dim=(0, 2, 3))
    return total / torch.where(mass > 0, mass, torch.ones_like(mass))[:, None]


def class_weights(
    present_a: Tensor, present_b: Tensor, long_tail: Tensor, form: str = 'ratio'
) -> tuple[Tensor, Tensor]:
    """`W^c` [12]: overlapping long-tail classes get more weight, the fewer classes overlap.

    Args:
        present_a: `(C,)` bool, classes of one domain.
        present_b: `(C,)` bool, classes of the other.
        long_tail: `(C,)` bool.
        form: `'ratio'`: `(s+1)/s` for long-tail classes, `s` the number of overlapping classes;
            `'literal'`: `s + 1/s`, the equation as it can be read; `'none'`: 1, no re-weighting.

    Returns:
        Weights `(C,)` float32 (0 where the class does not overlap), and `(C,)` bool, the overlap.

    Raises:
        ValueError: Unknown `form`.
    """
    overlap = present_a & present_b
    count = overlap.sum().clamp(min=1).float()
    if form == 'ratio':
        tail = (count + 1) / count
    elif form == 'literal':
        tail = count + 1 / count
    elif form == 'none':
        tail = torch.ones_like(count)
    else:
        raise ValueError(f"form must be 'ratio', 'literal' or 'none', got {form!r}")
    return torch.where(long_tail, tail, torch.ones_like(tail)) * overlap, overlap


def alignment_loss(
    features: Tensor,
    shares: Tensor,
    rho: Tensor,
    weight: Tensor,
    overlap: Tensor,
    tau: float = 0.1,
    absent: str = 'drop',
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the features of one domain against the prototypes of the other [9] to [13].

    `S^c = cos(f, rho^c) / tau * W^c`; the loss of a cell is the cross-entropy of `softmax(S)` with
    the label shares of the cell; the result is the mean over the cells, weighted by those shares,
    so that its scale does not depend on the resolution.

    Args:
        features: `(B, D, h, w)`; at least float32 counts, so call it outside autocast.
        shares: `(B, C, h, w)` label shares of these features.
        rho: `(C, D)` prototypes of the other domain.
        weight: `(C,)` `W^c` of :func:`class_weights`.
        overlap: `(C,)` bool, classes that occur in both domains.
        tau: Temperature.
        absent: `'drop'`: a class that does not overlap is left out of the softmax and its cells out
            of the loss; `'zero'`: it is kept with `S = 0`, as [10] reads literally; `'kept'`: its
            cells are left out, but it stays in the softmax with its own similarity, and with a
            cosine of -1 where it has no prototype, as in the authors' code.

    Returns:
        The loss, 0-dimensional (a finite zero that keeps the graph when nothing takes part), and
        the share of the labelled area that took part, 0-dimensional in [0, 1].

    Raises:
        ValueError: Unknown `absent`.
    """
    if absent not in ('drop', 'zero', 'kept'):
        raise ValueError(f"absent must be 'drop', 'zero' or 'kept', got {absent!r}")
    dtype = torch.promote_types(features.dtype, torch.float32)
    features, rho = features.to(dtype), rho.to(dtype)
    shares, weight = shares.to(dtype), weight.to(dtype)
    cosine = torch.einsum('bdhw,cd->bchw', F.normalize(features, dim=1), F.normalize(rho, dim=1))
    overlaps = overlap.view(1, -1, 1, 1)
    if absent == 'kept':
        missing = (rho == 0).all(dim=1).view(1, -1, 1, 1)
        cosine = cosine.masked_fill(missing, -1.0)
        weight = torch.where(overlap, weight, torch.ones_like(weight))
    similarity = cosine / tau * weight.view(1, -1, 1, 1)
    labelled = shares.sum()
    if absent == 'drop':
        # a large negative number instead of -inf: 0 * inf in the product below would be NaN
        lowest = torch.finfo(dtype).min / 4
        similarity = similarity.masked_fill(~overlaps, lowest)
    if absent != 'zero':
        shares = shares * overlaps
    mass = shares.sum()
    nonzero = torch.where(mass > 0, mass, torch.ones_like(mass))
    per_class = torch.where(shares > 0, similarity.log_softmax(dim=1) * shares, shares * 0)
    # without any common class the literal reading would be the constant log C: count it as nothing
    loss = -per_class.sum() / nonzero * overlap.any()
    participation = (
        overlap.any() * mass / torch.where(labelled > 0, labelled, torch.ones_like(labelled))
    )
    return loss, participation.detach()
