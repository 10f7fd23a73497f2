"""Floating-point operations of a training step, counted without computing anything."""

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any
from unittest import mock

import torch
from mmengine.config import Config
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from dsr_nss.studies.benchmark.stages import StageMeter, step_parts
from dsr_nss.studies.benchmark.step import build_step, random_items


def count_step(config: Config) -> dict[str, float]:
    """FLOPs of one step by stage, 2 a multiply-add: convolutions, matrix products, attention.

    The step runs on torch's `meta` device, where tensors have shapes and no content; so nothing in
    it may depend on what a tensor holds, and a step that waits for the device fails here. The
    backward pass is one stage.
    """
    config = copy.deepcopy(config)
    config.pop('compile', None)  # the count is the same, and `meta` cannot compile
    with torch.device('meta'):
        model, optim_wrapper = build_step(config, torch.device('meta'), amp=None)
    with (
        # `meta` is a device that `torch.autocast` does not know; it changes no count
        mock.patch.object(torch, 'autocast', lambda *args, **kwargs: nullcontext()),
        mock.patch.object(torch, 'is_autocast_enabled', lambda *args: False),
        count() as counter,
    ):
        meter = StageMeter(lambda: float(counter.get_total_flops()))
        with meter.attached(step_parts(model, optim_wrapper)):
            model.train_step(random_items(config), optim_wrapper)
    return meter.take()


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
