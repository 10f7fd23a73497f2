"""Exponential moving average of the student's weights [7].

Numbers in brackets are equations of arXiv 2310.04747.
"""

import torch
from torch import Tensor


def ema_momentum(step: int, momentum: float) -> float:
    """`lambda_t = min(1 - 1/(t+1), lambda)`.

    The ramp makes the first averages plain means, so that the teacher forgets its start quickly.

    Args:
        step: Number of finished optimiser steps `t`, counted from 1.
        momentum: `lambda`, in [0, 1].

    Raises:
        ValueError: `step` is below 1.
    """
    if step < 1:
        raise ValueError(f'step counts finished optimiser steps from 1, got {step}')
    return min(1.0 - 1.0 / (step + 1), momentum)


@torch.no_grad()
def ema_update_(teacher: list[Tensor], student: list[Tensor], momentum: float) -> None:
    """`teacher <- momentum * teacher + (1 - momentum) * student`, in place, without allocation.

    Args:
        teacher: Floating tensors `(...)` of any shape, which are overwritten. They are kept in
            float32: with `1 - momentum = 1e-3` an average in bfloat16 would lose most updates.
        student: Tensors of the same shapes, dtypes and devices.
        momentum: Weight of the old value, in [0, 1].
    """
    if teacher:
        torch._foreach_lerp_(teacher, student, 1.0 - momentum)


@torch.no_grad()
def copy_(teacher: list[Tensor], student: list[Tensor]) -> None:
    """Overwrite `teacher` by `student` (integer buffers, and the start of training).

    Args:
        teacher: Tensors `(...)` of any shape and dtype, which are overwritten.
        student: Tensors of the same shapes, dtypes and devices.
    """
    if teacher:
        torch._foreach_copy_(teacher, student)
