"""Warping by a dense flow, and the confidence of a match.

Conventions: a flow is `(B, 2, H, W)` in pixels, x first, and points from the night view to the day
view: night pixel `p` corresponds to day position `p + flow(p)`. Corners are aligned, so position 0
is the centre of the first pixel and `size - 1` the centre of the last.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def pixel_grid(height: int, width: int, like: Tensor) -> Tensor:
    """`(1, 2, H, W)` pixel coordinates, x first, with dtype and device of `like`."""
    y = torch.arange(height, dtype=like.dtype, device=like.device)
    x = torch.arange(width, dtype=like.dtype, device=like.device)
    rows, columns = torch.meshgrid(y, x, indexing='ij')
    return torch.stack((columns, rows))[None]


def per_axis(x: float, y: float, like: Tensor) -> Tensor:
    """`(1, 2, 1, 1)` with dtype and device of `like`: one factor an axis, x first.

    It is filled on the device: a copy from the host would wait for a GPU.
    """
    return torch.cat((like.new_full((1, 1, 1, 1), x), like.new_full((1, 1, 1, 1), y)), dim=1)


def sample_along(image: Tensor, flow: Tensor) -> Tensor:
    """Sample `image` at `p + flow(p)`, bilinear, `align_corners=True`, zeros outside.

    Computed in float32 (or float64) whatever the autocast mode: half precision cannot hold pixel
    positions of large images.

    Args:
        image: `(B, C, H, W)` floating.
        flow: `(B, 2, H, W)` in pixels, x first.

    Returns:
        `(B, C, H, W)`, float32 or float64. Differentiable in both arguments.

    Raises:
        ValueError: The sizes of `image` and `flow` differ.
    """
    return _sample(image, flow)[0]


def warp(image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`sample_along`, and where it is valid.

    Args:
        image: `(B, C, H, W)` floating.
        flow: `(B, 2, H, W)` in pixels, x first.

    Returns:
        The warped image `(B, C, H, W)`, and `(B, H, W)` bool: True where the position lies
        *strictly* inside the image (exactly on the border is invalid, as in the reference data). A
        sample whose flow is exactly zero everywhere is returned unchanged and all valid.

    Raises:
        ValueError: The sizes of `image` and `flow` differ.
    """
    warped, grid = _sample(image, flow)
    valid = (grid.abs() < 1).all(dim=1)
    unmoved = (flow == 0).flatten(1).all(dim=1)
    warped = torch.where(unmoved.view(-1, 1, 1, 1), image.to(warped.dtype), warped)
    return warped, valid | unmoved.view(-1, 1, 1)


def _sample(image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """The sampled image, and the positions `(B, 2, H, W)` scaled so that the image is -1..1."""
    if flow.shape[1] != 2 or flow.shape[-2:] != image.shape[-2:]:
        raise ValueError(
            f'flow must be (B, 2, H, W) with the size of the image, got {tuple(flow.shape)} '
            f'for an image of {tuple(image.shape)}'
        )
    height, width = image.shape[-2:]
    with torch.autocast(image.device.type, enabled=False):
        dtype = torch.promote_types(torch.promote_types(image.dtype, flow.dtype), torch.float32)
        image, flow = image.to(dtype), flow.to(dtype)
        position = pixel_grid(height, width, flow) + flow
        scale = per_axis(max(width - 1, 1), max(height - 1, 1), flow)
        grid = 2.0 * position / scale - 1.0
        warped = F.grid_sample(
            image, grid.permute(0, 2, 3, 1), mode='bilinear', padding_mode='zeros',
            align_corners=True,
        )  # fmt: skip
    return warped, grid


def match_confidence(log_variance: Tensor, radius: float = 1.0) -> Tensor:
    """Probability that the true match lies within `radius`: `P = 1 - exp(-R^2 / (2 s2))`.

    Args:
        log_variance: `log s2` of the flow in squared pixels, floating, of any shape `(...)`.
        radius: `R` in pixels.

    Returns:
        Probabilities in [0, 1], of the shape and dtype of `log_variance`.
    """
    return -torch.expm1(-(radius**2) * torch.exp(-log_variance) / 2.0)
