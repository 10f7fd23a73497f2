"""Batch norm without side effects."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def frozen_running_statistics(module: nn.Module) -> Iterator[None]:
    """Inside, batch norms in training mode normalise by the batch but leave their buffers alone."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    try:
        # in training mode torch updates the buffers only while statistics are tracked
        for norm in norms:
            norm.track_running_stats = False
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
