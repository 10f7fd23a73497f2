"""Logits of sliding windows as one map at any size, made strip by strip.

A window's logits are upsampled to its pixels, overlapping windows are averaged, padding is cut off
and the map is resized to the size of the image file. Each of these steps is linear and acts on rows
and columns separately, so all of them together are one sparse matrix per axis. The columns are
brought to their final number at once, which is small work while the rows are few; rows are made
only when they are asked for. A map of all classes at full size (158 MB for 19 classes at
1080x1920) is never in memory, and what is made stays in the processor's caches.
"""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dsr_nss.functional.windows import Box, at_least_float32

#: Output rows or columns that share a dense block of the sparse matrix, on the CPU.
_BLOCK = 64
#: Bytes of the logits of one strip: within a CPU's caches; on a GPU few large launches.
STRIP_BYTES = {'cpu': 4 * 2**20}
_STRIP_BYTES_ELSEWHERE = 256 * 2**20

Interval = tuple[int, int]


class Term(NamedTuple):
    """What one interval of windows adds to a block.

    Attributes:
        interval: Position of the interval along the axis.
        start, stop: The cells of the window that count.
        weights: `(block, stop - start)` float32; None for the identity.
    """

    interval: int
    start: int
    stop: int
    weights: Tensor | None


class Block(NamedTuple):
    """Output positions `start..stop-1` along one axis and where they come from."""

    start: int
    stop: int
    terms: list[Term]


class Mosaic:
    """Windows of one or several equally large images, placed where they were cut out.

    Args:
        windows: One `(B, K, h, w)` tensor of logits for each box, any floating point; sums are at
            least float32.
        boxes: A grid of windows from `windows.sliding_boxes`, in pixels of the network's input.
        content: The part of the input that is image, without padding.
        size: (height, width) of the image file.
        align_corners: How logits are upsampled; see `torch.nn.functional.interpolate`.
        mirrored: Whether the input was the mirrored image: the result is mirrored back.

    Attributes:
        finite: On the device, whether no logit is NaN or infinite.
    """

    def __init__(
        self,
        windows: Sequence[Tensor],
        boxes: Sequence[Box],
        *,
        content: Box,
        size: Sequence[int],
        align_corners: bool = False,
        mirrored: bool = False,
    ) -> None:
        rows = tuple(sorted({box[:2] for box in boxes}))
        columns = tuple(sorted({box[2:] for box in boxes}))
        order = [(top, bottom, left, right) for top, bottom in rows for left, right in columns]
        if list(boxes) != order:
            raise ValueError('the windows are no grid, row by row')
        windows = [at_least_float32(window) for window in windows]
        self.finite = torch.stack([window.isfinite().all() for window in windows]).all()
        self.height, self.width = int(size[0]), int(size[1])
        self.batch, self.classes, *cells = windows[0].shape
        self.device, self.dtype = windows[0].device, windows[0].dtype
        device = str(self.device)
        block = _BLOCK if self.device.type == 'cpu' else max(self.height, self.width)
        self._columns = _axis(
            columns, cells[1], content[2:], self.width, align_corners, mirrored, block, device
        )
        limit = STRIP_BYTES.get(self.device.type, _STRIP_BYTES_ELSEWHERE)
        row_bytes = self.batch * self.classes * self.width * self.dtype.itemsize
        self._rows = _axis(
            rows,
            cells[0],
            content[:2],
            self.height,
            align_corners,
            False,
            max(limit // row_bytes, 1),
            device,
        )
        number = len(columns)
        with exact_products(self.device):
            self._wide = [
                self._widen(windows[i * number : (i + 1) * number]) for i in range(len(rows))
            ]

    def strips(self) -> Iterator[tuple[slice, Tensor]]:
        """The rows and their logits `(B, K, rows, W)`, from the top; valid until the next strip.

        Mosaics of the same batch, classes, size and device have the same strips.
        """
        for block in self._rows:
            yield slice(block.start, block.stop), self._make(block)

    def whole(self) -> Tensor:
        """All rows: `(B, K, H, W)`."""
        return torch.cat([logits for _, logits in self.strips()], dim=2)

    def _make(self, block: Block) -> Tensor:
        with exact_products(self.device):
            parts = [
                _product(self._wide[term.interval], term, dim=2, dtype=self.dtype)
                for term in block.terms
            ]
        return _sum(parts)

    def _widen(self, windows: Sequence[Tensor]) -> Tensor:
        """One row of windows with its final columns: `(B, K, h, W)`."""
        blocks = self._columns
        if len(windows) == 1 and all(term.weights is None for b in blocks for term in b.terms):
            return windows[0].narrow(3, blocks[0].terms[0].start, self.width)
        wide = windows[0].new_empty(*windows[0].shape[:3], self.width)
        for block in blocks:
            parts = [_product(windows[t.interval], t, 3, self.dtype) for t in block.terms]
            wide[..., block.start : block.stop] = _sum(parts)
        return wide


def class_map(logits: Tensor) -> Tensor:
    """The index of the largest value along dimension 1, the first of equals.

    On CPUs `argmax` over a dimension that is not the last takes nine times as long.

    Args:
        logits: `(B, K, H, W)`, K at most 255.

    Returns:
        `(B, H, W)` uint8.
    """
    if logits.device.type != 'cpu':
        return logits.argmax(dim=1).to(torch.uint8)
    best = logits[:, 0].clone()
    ids = torch.zeros_like(best, dtype=torch.uint8)
    larger = torch.empty_like(best, dtype=torch.bool)
    candidate = larger.view(torch.uint8)
    for k in range(1, logits.shape[1]):
        value = logits[:, k]
        torch.gt(value, best, out=larger)
        torch.maximum(best, value, out=best)
        # k only grows: the last class that was larger is the largest number
        torch.maximum(ids, candidate.mul_(k), out=ids)
    return ids


@contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """Matrix products of full float32, whatever autocast and the precision switches say."""
    # not by torch.get_float32_matmul_precision, which fails once one of these has been set
    switches = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
    before = [switch.fp32_precision for switch in switches]
    try:
        for switch in switches:
            switch.fp32_precision = 'ieee'
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for switch, precision in zip(switches, before, strict=True):
            switch.fp32_precision = precision


def _product(cells: Tensor, term: Term, dim: int, dtype: torch.dtype) -> Tensor:
    part = cells.narrow(dim, term.start, term.stop - term.start)
    if term.weights is None:
        return part
    weights = term.weights.to(dtype)
    return part @ weights.T if dim == 3 else weights @ part


def _sum(parts: list[Tensor]) -> Tensor:
    total = parts[0]
    if len(parts) > 1:
        total = total + parts[1]
        for part in parts[2:]:
            total += part
    return total


@functools.lru_cache(maxsize=64)
def _axis(
    intervals: tuple[Interval, ...],
    cells: int,
    content: Interval,
    length: int,
    align_corners: bool,
    mirrored: bool,
    block: int,
    device: str,
) -> list[Block]:
    """The blocks of one axis.

    Args:
        intervals: Interval (start, stop) of each window in pixels of the input, in rising order.
        cells: Number of cells of each window's logits along this axis.
        content: The pixels of the input that are image.
        length: Length of the axis in the image file, in pixels.
        align_corners: Whether logits are upsampled with their corners aligned, as in `Mosaic`.
        mirrored: Reverse the axis.
        block: Output positions of a block.
        device: Device of the weights.
    """
    matrices = axis_matrices(intervals, cells, content, length, align_corners, mirrored)
    blocks = []
    for start in range(0, length, block):
        stop = min(start + block, length)
        terms = []
        for i, matrix in enumerate(matrices):
            part = matrix[start:stop]
            used = part.any(dim=0).nonzero()
            if len(used):
                first, last = int(used[0]), int(used[-1]) + 1
                terms.append(Term(i, first, last, _on_device(part[:, first:last], device)))
        blocks.append(Block(start, stop, terms))
    return blocks


def _on_device(weights: Tensor, device: str) -> Tensor | None:
    if weights.shape[0] == weights.shape[1] and torch.equal(weights, torch.eye(len(weights))):
        return None
    return weights.contiguous().to(device)


def axis_matrices(
    intervals: Sequence[Interval],
    cells: int,
    content: Interval,
    length: int,
    align_corners: bool,
    mirrored: bool,
) -> list[Tensor]:
    """What each interval of windows contributes to each position: `(length, cells)` float32 each.

    Their products with the cells of the windows, summed, are the mean of the upsampled windows,
    cut to the content, mirrored and resized. The arguments mean the same as in `_axis`.
    """
    start, stop = content
    counts = torch.zeros(max(interval[1] for interval in intervals))
    for low, high in intervals:
        counts[low:high] += 1
    matrices = []
    for low, high in intervals:
        upsampled = torch.zeros(len(counts), cells)
        upsampled[low:high] = _resize(torch.eye(cells), high - low, align_corners)
        upsampled = upsampled[start:stop] / counts[start:stop, None]
        if mirrored:
            upsampled = upsampled.flip(0)
        matrices.append(_resize(upsampled, length, align_corners))
    return matrices


def _resize(matrix: Tensor, length: int, align_corners: bool) -> Tensor:
    """The rows of a matrix, resized by the function that would resize the logits.

    In float32 and contiguous, so that positions are rounded as there.
    """
    if len(matrix) == length:
        return matrix
    columns = matrix.T.contiguous()[None, :, :, None]
    resized = F.interpolate(columns, (length, 1), mode='bilinear', align_corners=align_corners)
    return resized[0, :, :, 0].T
