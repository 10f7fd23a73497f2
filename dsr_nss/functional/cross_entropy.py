"""Cross-entropy with a weight for each pixel [6], [14].

Numbers in brackets are equations of arXiv 2310.04747.
"""

import torch.nn.functional as F
from torch import Tensor

from dsr_nss.functional.windows import at_least_float32


def weighted_cross_entropy(
    logits: Tensor, label: Tensor, weight: Tensor | None = None, ignore_index: int = 255
) -> Tensor:
    """Mean over *all* pixels of `weight * cross-entropy`; an ignored pixel counts as zero.

    Args:
        logits: `(B, K, H, W)`; computed in at least float32.
        label: `(B, H, W)` int64, ids `0..K-1` or `ignore_index`.
        weight: `(B, H, W)` pixel weights `q`, or None for 1.
        ignore_index: Id of pixels without a class.

    Returns:
        0-dimensional; a finite zero that keeps the graph when every pixel is ignored.
    """
    loss = F.cross_entropy(
        at_least_float32(logits), label, ignore_index=ignore_index, reduction='none'
    )
    if weight is not None:
        loss = loss * weight
    return loss.mean()
