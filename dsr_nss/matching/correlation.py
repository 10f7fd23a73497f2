"""Correlation volumes between the features of two views (dense matching).

All of it is computed in float32 (or float64) whatever the autocast mode: the best of 256 or 81
neighbours is told by differences in the third digit, where half precision ends.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

#: Side of the squares of target pixels that :func:`local_correlation` takes at once. Of 4, 8 and 16
#: the fastest on a CPU: larger squares compute more products that nobody asked for.
TILE = 8


def global_correlation(target: Tensor, reference: Tensor) -> Tensor:
    """Every target position against every reference position.

    Args:
        target: `(B, C, h, w)` features of the view that the flow starts from.
        reference: `(B, C, H, W)` features of the other view.

    Returns:
        `(B, H * W, h, w)` dot products over the channels. Channel `i * W + j` belongs to the
        reference position in row `i`, column `j`.

    Raises:
        ValueError: Different batch sizes or numbers of channels.
    """
    if target.shape[:2] != reference.shape[:2]:
        raise ValueError(
            f'features of one batch size and number of channels, got {tuple(target.shape)} and '
            f'{tuple(reference.shape)}'
        )
    with torch.autocast(target.device.type, enabled=False):
        target, reference = _at_least_float32(target, reference)
        products = reference.flatten(2).transpose(1, 2) @ target.flatten(2)
    return products.unflatten(2, target.shape[2:])


def mutual_matching(correlation: Tensor, eps: float = 1e-5) -> Tensor:
    """Weakens a correlation that is not the best of its two positions (soft nearest neighbours).

    `c * (c / max over reference positions) * (c / max over target positions)`.
    Source: Rocco et al., "Neighbourhood Consensus Networks", 2018.

    Args:
        correlation: `(B, N, h, w)` from :func:`global_correlation`.
        eps: Added to the maxima.
    """
    over_reference = correlation.amax(dim=1, keepdim=True)
    over_target = correlation.amax(dim=(2, 3), keepdim=True)
    return (
        correlation * (correlation / (over_reference + eps)) * (correlation / (over_target + eps))
    )


def local_correlation(target: Tensor, reference: Tensor, radius: int = 4) -> Tensor:
    """Every target position against the reference positions around it.

    Channel `(dy + radius) * (2 * radius + 1) + dx + radius` at `p` is the dot product over the
    channels of `target(p)` and `reference(p + (dx, dy))`; zero outside of the reference. It is not
    divided by the number of channels.

    Squares of `TILE x TILE` target pixels are multiplied with the reference pixels that any of them
    needs, as matrices, one strip of squares after the other; the products asked for lie on
    diagonals, which a strided view picks. Most products are computed for nothing, and it is still
    the fastest: shifted element-wise products read the features once a neighbour, and unfolding
    writes them once a neighbour.

    Args:
        target: `(B, C, h, w)` floating.
        reference: `(B, C, h, w)` floating.
        radius: 4 gives the 9x9 neighbourhood.

    Returns:
        `(B, (2 * radius + 1) ** 2, h, w)`.

    Raises:
        ValueError: Different shapes.
    """
    if target.shape != reference.shape:
        raise ValueError(
            'local correlation needs features of one shape, got '
            f'{tuple(target.shape)} and {tuple(reference.shape)}'
        )
    height, width = target.shape[2:]
    with torch.autocast(target.device.type, enabled=False):
        target, reference = _at_least_float32(target, reference)
        strips = [
            _correlate_strip(
                _rows(target, top, top + TILE, 0, -width % TILE),
                _rows(reference, top - radius, top + TILE + radius, radius, -width % TILE + radius),
                radius,
            )
            for top in range(0, height, TILE)
        ]
        return torch.cat(strips, dim=2)[:, :, :height, :width]


def _rows(features: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    """Rows `top..bottom` with `left` and `right` zero columns; rows outside are zero."""
    height = features.shape[2]
    inside = features[:, :, max(top, 0) : min(bottom, height)]
    return F.pad(inside, (left, right, max(-top, 0), max(bottom - height, 0)))


def _correlate_strip(target: Tensor, reference: Tensor, radius: int) -> Tensor:
    """One row of squares: `(B, C, TILE, W)` and `(B, C, TILE + 2 r, W + 2 r)` -> `(B, K, TILE, W)`.

    `W` is a multiple of `TILE`.
    """
    batch, channels, _, width = target.shape
    squares, side, size = width // TILE, TILE + 2 * radius, 2 * radius + 1
    pixels = target.unflatten(3, (squares, TILE)).permute(0, 3, 2, 4, 1)
    pixels = pixels.reshape(batch * squares, TILE * TILE, channels)
    around = reference.unfold(3, side, TILE).permute(0, 3, 1, 2, 4)
    around = around.reshape(batch * squares, channels, side * side)
    # [square, y, x, Y, X]; the product of pixel (y, x) and its neighbour lies at Y = y + dy + r
    products = torch.bmm(pixels, around)
    row, square = side * side, TILE * TILE * side * side
    picked = products.as_strided(
        (batch, size, size, TILE, squares, TILE),
        (squares * square, side, 1, TILE * row + side, square, row + 1),
    )
    return picked.reshape(batch, size * size, TILE, width)


def normalize_features(features: Tensor) -> Tensor:
    """Unit length over the channels, in float32 or float64: `(B, C, h, w)` -> the same shape."""
    return F.normalize(_at_least_float32(features)[0], dim=1)


def normalize_correlation(correlation: Tensor) -> Tensor:
    """Negative correlations to zero, then unit length over the channels: what decoders read.

    Floating `(B, C, h, w)` -> the same shape and dtype.
    """
    return F.normalize(F.relu(correlation), dim=1)


def _at_least_float32(*tensors: Tensor) -> tuple[Tensor, ...]:
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return tuple(tensor.to(dtype) for tensor in tensors)
