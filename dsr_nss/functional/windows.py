"""Sliding windows: where they stand, cutting them out, averaging what was computed on them."""

from collections.abc import Sequence

import torch
from torch import Tensor

#: (top, bottom, left, right) in pixels; bottom and right are exclusive.
Box = tuple[int, int, int, int]


def at_least_float32(tensor: Tensor) -> Tensor:
    """float16 and bfloat16 to float32; sums of many terms and soft-maxes need its mantissa.

    Args:
        tensor: Floating tensor of any shape `(...)`.

    Returns:
        The values in the same shape; a float32 or float64 tensor is returned as it is.
    """
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor


def sliding_boxes(
    image_size: Sequence[int], window_size: Sequence[int], stride: Sequence[int]
) -> list[Box]:
    """Boxes that cover an image, row by row; the last of a row or column is shifted to the border.

    Args:
        image_size: (height, width).
        window_size: (height, width); a side larger than the image's is cut to it.
        stride: (vertical, horizontal) steps, at least 1 and at most the window.

    Raises:
        ValueError: A stride that would leave gaps or not move.
    """
    starts = []
    for length, window, step in zip(image_size, window_size, stride, strict=True):
        if not 1 <= step <= window:
            raise ValueError(f'stride {tuple(stride)} must lie in 1..window {tuple(window_size)}')
        last = max(length - window, 0)
        starts.append([*range(0, last, step), last])
    height, width = (min(pair) for pair in zip(image_size, window_size, strict=True))
    return [(top, top + height, left, left + width) for top in starts[0] for left in starts[1]]


def crop(tensor: Tensor, box: Box) -> Tensor:
    """`(..., H, W)` -> the view `(..., bottom - top, right - left)` inside a box."""
    top, bottom, left, right = box
    return tensor[..., top:bottom, left:right]


def stack_windows(image: Tensor, boxes: Sequence[Box]) -> Tensor:
    """`(B, C, H, W)` and N boxes of one size -> `(N * B, C, h, w)`, the images of box 0 first."""
    return torch.cat([crop(image, box) for box in boxes])


def average_windows(windows: Sequence[Tensor], boxes: Sequence[Box]) -> Tensor:
    """Mean of overlapping windows.

    Args:
        windows: N tensors `(B, C, h, w)`, one for each box, in pixels like the boxes.
        boxes: N boxes that together cover an area from the origin on without gaps.

    Returns:
        `(B, C, H, W)`, float32 at least.
    """
    height, width = max(box[1] for box in boxes), max(box[3] for box in boxes)
    first = at_least_float32(windows[0])
    total = first.new_zeros(*first.shape[:2], height, width)
    count = first.new_zeros(height, width)
    for window, box in zip(windows, boxes, strict=True):
        crop(total, box).add_(window)
        crop(count, box).add_(1)
    return total / count
