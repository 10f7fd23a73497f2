"""Fusion of a coarse view of the whole image with fine views of parts of it.

Source: Hoyer et al., "HRDA: Context-Aware High-Resolution Domain-Adaptive Semantic Segmentation",
2022. The context is the image at half size; a detail window is a part of the full-size image with
the size of the context in pixels, so both have logits of the same size `(h, w)`, and the fused
logits `(2h, 2w)` have the cells of a detail window, over the whole image.

A window that starts or ends inside a cell of the fused grid (window 1080: detail windows start at
270 = 67.5 cells) is resampled bilinearly to the cells whose centres it holds, so it stands where it
was cut out. Published code truncates to whole cells instead, half a cell off;
`fuse_windows(..., truncate=True)` does that too, for its checkpoints' published figures.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dsr_nss.functional.windows import Box, at_least_float32, sliding_boxes


class Span(NamedTuple):
    """Cells `start..stop-1` along one axis of a grid."""

    start: int
    stop: int


def half_size(image_size: Sequence[int]) -> tuple[int, int]:
    """Size of the context, and so of a detail window: half of the image, rounded up."""
    return (image_size[0] + 1) // 2, (image_size[1] + 1) // 2


def draw_detail_box(image_size: Sequence[int], divisor: int = 8) -> Box:
    """A random box of half the image's size, uniform over the offsets divisible by `divisor`.

    Args:
        image_size: (height, width).
        divisor: Pixels of one cell of the context's logits (its output stride times 2), so that the
            box falls on whole cells.

    Returns:
        The box, drawn with torch's global CPU generator.
    """
    box: list[int] = []
    for length, window in zip(image_size, half_size(image_size), strict=True):
        choices = (length - window) // divisor + 1
        start = divisor * int(torch.randint(choices, ()))
        box += [start, start + window]
    return box[0], box[1], box[2], box[3]


def detail_boxes(image_size: Sequence[int], stride_ratio: float = 0.5) -> list[Box]:
    """Boxes of half the image's size that cover it.

    Args:
        image_size: (height, width).
        stride_ratio: Step as a share of the window, in (0, 1]: 0.5 gives 9 boxes, 1 gives 4.

    Raises:
        ValueError: A ratio outside (0, 1].
    """
    if not 0 < stride_ratio <= 1:
        raise ValueError(f'the stride of detail windows must lie in (0, 1], got {stride_ratio}')
    window = half_size(image_size)
    # Rounded up, like the window: an odd length does not get one more, nearly equal, window.
    stride = [-int(-length * stride_ratio // 1) for length in window]
    return sliding_boxes(image_size, window, stride)


def fuse_train(
    context_logits: Tensor,
    attention: Tensor,
    detail_logits: Tensor,
    box: Box,
    image_size: Sequence[int],
) -> Tensor:
    """Fuse the context with one detail window; outside of it the context stands alone.

    Args:
        context_logits: `(B, K, h, w)` of the image at half size.
        attention: `(B, K, h, w)` in [0, 1], the trust in the detail.
        detail_logits: `(B, K, h, w)` of the window.
        box: The window in pixels of the image.
        image_size: (height, width) of the image.

    Returns:
        `(B, K, 2h, 2w)`, float32 at least.
    """
    context_logits, attention = at_least_float32(context_logits), at_least_float32(attention)
    rows, columns = _cells(box, image_size, context_logits.shape[2:])
    inside = torch.zeros_like(attention)
    inside[:, :, rows.start : rows.stop, columns.start : columns.stop] = 1
    canvas = _canvas(context_logits)
    cells, patch = _fit(at_least_float32(detail_logits), box, image_size, canvas.shape[2:])
    _view(canvas, cells).copy_(patch)
    return _blend(context_logits, attention * inside, canvas)


def fuse_windows(
    context_logits: Tensor,
    attention: Tensor,
    window_logits: Tensor,
    boxes: Sequence[Box],
    image_size: Sequence[int],
    truncate: bool = False,
) -> Tensor:
    """Fuse the context with the mean of detail windows that cover the image.

    Args:
        context_logits: `(B, K, h, w)` of the image at half size.
        attention: `(B, K, h, w)` in [0, 1], the trust in the detail.
        window_logits: `(N * B, K, h, w)`, ordered as by `windows.stack_windows`.
        boxes: The N windows in pixels of the image.
        image_size: (height, width) of the image.
        truncate: Place windows on whole cells, rounding down, instead of resampling them. Where a
            window does not have a whole number of cells, published code stops with an error; there
            it is resampled all the same.

    Returns:
        `(B, K, 2h, 2w)`, float32 at least.
    """
    context_logits, attention = at_least_float32(context_logits), at_least_float32(attention)
    total = _canvas(context_logits)
    count = total.new_zeros(total.shape[2:])
    grid = total.shape[2:]
    truncated = [_truncate(box, image_size, grid) for box in boxes]
    whole = truncate and all(_size(cells) == window_logits.shape[2:] for cells in truncated)
    for i, logits in enumerate(window_logits.chunk(len(boxes))):
        logits = at_least_float32(logits)
        cells, patch = (truncated[i], logits) if whole else _fit(logits, boxes[i], image_size, grid)
        _view(total, cells).add_(patch)
        _view(count, cells).add_(1)
    return _blend(context_logits, attention, total / count)


def _blend(context_logits: Tensor, attention: Tensor, detail: Tensor) -> Tensor:
    return _double(attention) * detail + _double((1 - attention) * context_logits)


def _double(tensor: Tensor) -> Tensor:
    return F.interpolate(tensor, scale_factor=2, mode='bilinear', align_corners=False)


def _canvas(context_logits: Tensor) -> Tensor:
    batch, classes, height, width = context_logits.shape
    return context_logits.new_zeros(batch, classes, 2 * height, 2 * width)


def _view(canvas: Tensor, cells: tuple[Span, Span]) -> Tensor:
    rows, columns = cells
    return canvas[..., rows.start : rows.stop, columns.start : columns.stop]


def _cells(box: Box, image_size: Sequence[int], grid: Sequence[int]) -> tuple[Span, Span]:
    """The cells of a grid over the image whose centres lie in the box."""
    rows = _span(box[0], box[1], image_size[0], grid[0])
    return rows, _span(box[2], box[3], image_size[1], grid[1])


def _span(start: int, stop: int, length: int, cells: int) -> Span:
    """Cell i has its centre at `(2i + 1) * length / (2 * cells)`; in integers, hence exact."""
    first, end = (-((length - 2 * cells * edge) // (2 * length)) for edge in (start, stop))
    return Span(max(first, 0), min(end, cells))


def _fit(
    logits: Tensor, box: Box, image_size: Sequence[int], grid: Sequence[int]
) -> tuple[tuple[Span, Span], Tensor]:
    """Resample a window to the cells whose centres it holds; a plain copy where the grids agree."""
    cells = _cells(box, image_size, grid)
    for axis in (0, 1):
        start, stop = box[2 * axis], box[2 * axis + 1]
        logits = _resample(
            logits, 2 + axis, cells[axis], (start, stop), image_size[axis], grid[axis]
        )
    return cells, logits


def _resample(
    logits: Tensor, dim: int, span: Span, edges: tuple[int, int], length: int, cells: int
) -> Tensor:
    start, stop = edges
    size = logits.shape[dim]
    same_step = length * size == cells * (stop - start)
    if same_step and start * cells == span.start * length and span.stop - span.start == size:
        return logits
    index = torch.arange(span.start, span.stop, device=logits.device, dtype=torch.float64)
    centre = (index + 0.5) * (length / cells) - start
    position = (centre * (size / (stop - start)) - 0.5).clamp(0, size - 1)
    lower = position.long()
    upper = (lower + 1).clamp(max=size - 1)
    share = (position - lower).to(logits.dtype).view([-1] + [1] * (logits.ndim - 1 - dim))
    below, above = logits.index_select(dim, lower), logits.index_select(dim, upper)
    return torch.lerp(below, above, share.expand_as(below))


def _truncate(box: Box, image_size: Sequence[int], grid: Sequence[int]) -> tuple[Span, Span]:
    """The cells from the one that the box starts in to the one before that it ends in."""
    spans = []
    for axis in (0, 1):
        edges = (edge * grid[axis] // image_size[axis] for edge in box[2 * axis : 2 * axis + 2])
        spans.append(Span(*edges))
    return spans[0], spans[1]


def _size(cells: tuple[Span, Span]) -> tuple[int, int]:
    rows, columns = cells
    return rows.stop - rows.start, columns.stop - columns.start
