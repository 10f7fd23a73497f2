"""Memory of a training step on a GPU, estimated without one: the tensors that live at its peak."""

import copy
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from dsr_nss.studies.benchmark.step import (
    build_step,
    count_step,
    random_items,
    without_autocast,
)
from dsr_nss.studies.benchmark.timing import Report, Turns, number

COLUMNS = {
    'TFLOP': number('flops', '.1f', 1e-12),
    **{name: number(name, '.1f', 2**-30) for name in ('weights', 'optimiser', 'step')},
    'all, --amp': number('amp', '.1f', 2**-30),
    'all, float32': number('float32', '.1f', 2**-30),
}
#: What `torch.autocast` computes in 16 bits on a GPU, and what in 32, among what networks here use.
_LOW = (
    F.linear, F.conv2d, F.conv_transpose2d, F.scaled_dot_product_attention, torch.conv2d,
    torch.conv_transpose2d, torch.matmul, torch.bmm, torch.einsum, Tensor.matmul,
    Tensor.__matmul__, Tensor.bmm,
)  # fmt: skip
_HIGH = (
    F.layer_norm, F.group_norm, F.softmax, F.log_softmax, F.cross_entropy, F.nll_loss,
    torch.layer_norm, torch.softmax, torch.log_softmax, Tensor.softmax, Tensor.log_softmax,
)  # fmt: skip


def estimate_memory(config: Config, amp: bool) -> dict[str, int]:
    """Bytes that a training holds, and the most that one of its steps adds.

    A step runs on torch's `meta` device, where tensors have sizes and no content, and the bytes of
    all tensors that exist at once are summed up, temporary ones and gradients included. Attention
    counts as the fused kernels of GPUs hold it. What is not in it: the driver, buffers of libraries
    and what the allocator loses between tensors.

    Args:
        config: Config of a training.
        amp: With 16 bits where `torch.autocast` on a GPU has them.

    Returns:
        `weights` of all networks and buffers (a teacher's too), `optimiser`, and `step`, the peak
        beyond both.
    """
    config = copy.deepcopy(config)
    config.pop('compile', None)
    with torch.device('meta'):
        model, wrapper = build_step(config, torch.device('meta'), amp=None)
    items = random_items(config)
    peaks: list[int] = []
    with without_autocast(), _GPUKernels(amp), LiveBytes() as live:
        # the first step of an optimiser makes its state, which is counted apart
        wrapper.optimizer.register_step_pre_hook(lambda *_: peaks.append(live.peak))
        model.train_step(items, wrapper)
    return dict(
        weights=_bytes([*model.parameters(), *model.buffers()]),
        optimiser=_bytes(tree_leaves(list(wrapper.optimizer.state.values()))),
        step=peaks[0],
    )


def benchmark_cost(configs: Sequence[Config], turns: Turns) -> Report:
    """Operations of a step, and its memory in float32 and with `--amp`, by the config's file."""
    report, rows = Report(turns.device), {}
    for config in configs:
        amp, float32 = (estimate_memory(config, amp=amp) for amp in (True, False))
        rows[str(config.filename)] = {
            'flops': sum(count_step(config).values()), **amp,
            'amp': sum(amp.values()), 'float32': sum(float32.values()),
        }  # fmt: skip
    report.table('GiB, estimated', COLUMNS, {Path(name).stem: row for name, row in rows.items()})
    report.content['cost'] = rows
    return report


def _bytes(tensors: list[Any]) -> int:
    storages = [tensor.untyped_storage() for tensor in tensors if isinstance(tensor, Tensor)]
    return sum({storage._cdata: storage.nbytes() for storage in storages}.values())


class LiveBytes(TorchDispatchMode):
    """While inside, sums the bytes of the tensors that are made and not yet freed.

    Attributes:
        peak: The largest sum so far.
    """

    def __init__(self, device: str = 'meta') -> None:
        super().__init__()
        self.device = device
        self.peak = self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """torch calls it for each operation."""
        given = {
            leaf.untyped_storage()._cdata
            for leaf in tree_leaves((args, kwargs))
            if isinstance(leaf, Tensor)
        }
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.device.type == self.device:
                storage = leaf.untyped_storage()
                if storage._cdata not in given | self._known:
                    self._made(storage)
        return result

    def _made(self, storage: torch.UntypedStorage) -> None:
        number, size = storage._cdata, storage.nbytes()
        self._known.add(number)
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._freed, number, size)

    def _freed(self, number: int, size: int) -> None:
        self._known.discard(number)
        self._now -= size


class _GPUKernels(TorchFunctionMode):
    """On the meta device: precisions as autocast has them on a GPU, and fused attention."""

    def __init__(self, amp: bool) -> None:
        super().__init__()
        self.amp = amp
        #: Weights in 16 bits, which autocast keeps for a step.
        self.cast: dict[int, Tensor] = {}

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """torch calls it in place of each of its functions."""
        kwargs = kwargs or {}
        if self.amp and func in _LOW:
            args, kwargs = tree_map(self._low, (args, kwargs))
        elif self.amp and func in _HIGH:
            args, kwargs = tree_map(_high, (args, kwargs))
        if func is Tensor.backward:
            with self:  # what is computed again there has the same precisions
                gradient = kwargs.pop('gradient', None)
                return torch.autograd.backward(*args, gradient, **kwargs)
        if func is F.scaled_dot_product_attention and args[0].is_meta:
            return _FusedAttention.apply(*args[:3])
        return func(*args, **kwargs)

    def _low(self, value: Any) -> Any:
        if not (isinstance(value, Tensor) and value.dtype is torch.float32 and value.is_meta):
            return value
        if not (value.requires_grad and value.is_leaf):
            return value.bfloat16()
        if id(value) not in self.cast:
            self.cast[id(value)] = value.bfloat16()
        return self.cast[id(value)]


def _high(value: Any) -> Any:
    half = isinstance(value, Tensor) and value.dtype is torch.bfloat16
    return value.float() if half else value


class _FusedAttention(torch.autograd.Function):
    """Holds queries, keys, values, the result and a number a query, not a weight for each pair."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        out = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, out, query.new_empty(query.shape[:-1]).float())
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return tuple(torch.empty_like(tensor) for tensor in ctx.saved_tensors[:3])
