"""Floating-point operations, 2 a multiply-add: convolutions, matrix products, attention."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count


def count() -> FlopCounterMode:
    """torch's counter, with the right cost of a grouped convolution's gradients."""
    return FlopCounterMode(
        display=False,
        custom_mapping={torch.ops.aten.convolution_backward: _convolution_backward},
    )


def _convolution_backward(
    grad_shape: Sequence[int], x_shape: Sequence[int], w_shape: Sequence[int], *args: Any, **_: Any
) -> int:
    """Each of the two gradients costs what the forward pass does.

    torch's own formula takes the gradient of a depth-wise convolution's weight for that of a dense
    one, hundreds of times too much.
    """
    transposed, output_mask = args[4], args[7]
    forward = conv_flop_count(x_shape, w_shape, grad_shape, transposed=transposed)
    return forward * sum(bool(wanted) for wanted in output_mask[:2])
