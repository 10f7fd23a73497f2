"""Batch norms whose statistics are not those of the training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def frozen_running_statistics(module: nn.Module) -> Iterator[None]:
    """Inside, batch norms in training mode normalise by the batch but leave their buffers alone."""
    norms = running_norms(module)
    try:
        # in training mode torch updates the buffers only while statistics are tracked
        for norm in norms:
            norm.track_running_stats = False
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def running_norms(module: nn.Module) -> list[_BatchNorm]:
    """The batch norms below a module that keep running statistics."""
    return [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]


def track_inputs(norm: _BatchNorm) -> None:
    """Have a batch norm in eval mode normalise by the running mean of its own inputs.

    Before each pass the running statistics take in the batch; torch's training mode would normalise
    by the batch alone. Only while the attribute `follow_inputs` of the norm is true.
    """
    norm.register_forward_pre_hook(_update_statistics)


@torch.no_grad()
def _update_statistics(norm: nn.Module, inputs: tuple[Tensor]) -> None:
    assert isinstance(norm, _BatchNorm) and norm.running_mean is not None
    assert norm.running_var is not None and norm.num_batches_tracked is not None
    if not getattr(norm, 'follow_inputs', False):
        return
    dims = [0, *range(2, inputs[0].dim())]
    var, mean = torch.var_mean(inputs[0].to(norm.running_mean.dtype), dim=dims)
    norm.num_batches_tracked.add_(1)
    # a plain mean of the first passes, then torch's own exponential one
    weight = (1 / norm.num_batches_tracked).clamp(min=norm.momentum or 0.0).to(mean.dtype)
    norm.running_mean.lerp_(mean, weight)
    norm.running_var.lerp_(var, weight)
