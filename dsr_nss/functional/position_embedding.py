"""Position embeddings of a vision transformer on another grid than the one they were learnt on."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dsr_nss.functional.windows import at_least_float32

#: What DINOv2's published code adds to the sides of the new grid before it divides them.
HUB_OFFSET = 0.1


def hub_positions(table: Tensor, grid: tuple[int, int]) -> Tensor:
    """A square table on another grid, as DINOv2's published code (without registers) resamples it.

    Bicubic, without antialiasing, by the scale `(new side + 0.1) / old side`; a table on its own
    grid stays as it is. timm resamples to a size and with antialiasing: the two differ.

    Args:
        table: `(1, N, D)`, row by row, `N` a square number; the class token's entry left out.
        grid: Rows and columns of the new grid.

    Returns:
        `(1, rows * columns, D)` in the type of the table; computed in at least float32.
    """
    side = round(table.shape[1] ** 0.5)
    if grid == (side, side):
        return table
    square = at_least_float32(table).unflatten(1, (side, side)).permute(0, 3, 1, 2)
    scale = [(new + HUB_OFFSET) / side for new in grid]
    moved = F.interpolate(square, scale_factor=scale, mode='bicubic')
    return moved.flatten(2).transpose(1, 2).to(table.dtype)


def covering(feature_map: Tensor, padded: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """A map of a padded image, brought to the image alone: the padding cropped off, to the pixel.

    The same number of cells is laid over the image without its padding, by bilinear interpolation,
    so that a map resized to the size of the image lies on it.

    Args:
        feature_map: `(B, D, h, w)` of an image that was padded to the right and below.
        padded: Height and width of the padded image.
        size: Height and width of the image.

    Returns:
        `(B, D, h, w)`.
    """
    if padded == size:
        return feature_map
    # in at least float32: half precision cannot tell places on a fine grid apart
    dtype = torch.float32 if feature_map.dtype.itemsize < 4 else feature_map.dtype
    kind = dict(device=feature_map.device, dtype=dtype)
    rows, columns = (
        (2 * torch.arange(cells, **kind) + 1) * (side / whole / cells) - 1
        for cells, side, whole in zip(feature_map.shape[2:], size, padded, strict=True)
    )
    places = torch.stack(torch.meshgrid(columns, rows, indexing='xy'), dim=-1)
    places = places.expand(len(feature_map), -1, -1, -1)
    # `interpolate` leaves a map as it is where it keeps its number of cells, whatever the scale
    moved = F.grid_sample(feature_map.to(dtype), places, padding_mode='border', align_corners=False)
    return moved.to(feature_map.dtype)
