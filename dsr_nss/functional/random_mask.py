"""Random block masks of masked image consistency.

Source: Hoyer et al., "MIC: Masked Image Consistency for Context-Enhanced Domain Adaptation", 2023.
"""

import torch.nn.functional as F
from torch import Tensor


def block_grid(size: tuple[int, int], block: int) -> tuple[int, int]:
    """Rows and columns of blocks over an image: its sides in blocks, rounded (halves to even).

    Args:
        size: Height and width of the image.
        block: Side of a block in pixels.

    Returns:
        At least one row and one column.
    """
    return max(round(size[0] / block), 1), max(round(size[1] / block), 1)


def kept_cells(noise: Tensor, ratio: float) -> Tensor:
    """Which cells stay: those whose noise reaches the ratio, so 0 keeps all and 1 hides all.

    Args:
        noise: Uniform in [0, 1), of any shape.
        ratio: Expected share of the hidden cells.

    Returns:
        bool, in the shape of `noise`.
    """
    return noise >= ratio


def block_mask(noise: Tensor, size: tuple[int, int], ratio: float) -> Tensor:
    """The mask of an image: every pixel takes the decision of its block.

    Args:
        noise: `(B, 1, h, w)`, uniform in [0, 1), a number for each block.
        size: Height and width of the image.
        ratio: Expected share of the hidden blocks.

    Returns:
        `(B, 1, H, W)` in the type of `noise`: 1 where the image is kept, 0 where it is hidden.
    """
    return F.interpolate(kept_cells(noise, ratio).to(noise.dtype), size, mode='nearest')
