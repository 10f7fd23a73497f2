"""Memory of a training step on a GPU, estimated without one: the tensors that live at its peak."""

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from dsr_nss.studies.benchmark.step import (
    build_step,
    count_step,
    random_items,
    without_autocast,
    without_matches,
)
from dsr_nss.studies.benchmark.timing import Report, Turns, number, short_names

COLUMNS = {
    'TFLOP': number('flops', '.1f', 1e-12),
    **{name: number(name, '.1f', 2**-30) for name in ('weights', 'optimiser', 'step')},
    'all, --amp': number('amp', '.1f', 2**-30),
    'all, float32': number('float32', '.1f', 2**-30),
}
#: What `torch.autocast` computes in 16 bits on a GPU, and what in 32, among what networks here use.
_LOW = (
    (F, 'linear'), (F, 'conv2d'), (F, 'conv_transpose2d'), (torch, 'matmul'), (torch, 'bmm'),
    (torch, 'einsum'), (Tensor, 'matmul'), (Tensor, '__matmul__'), (Tensor, 'bmm'),
)  # fmt: skip
_HIGH = (
    (F, 'layer_norm'), (F, 'group_norm'), (F, 'softmax'), (F, 'log_softmax'),
    (F, 'cross_entropy'), (F, 'nll_loss'), (Tensor, 'softmax'), (Tensor, 'log_softmax'),
)  # fmt: skip


def estimate_memory(config: Config, amp: bool) -> dict[str, int]:
    """Bytes that a training holds, and the most that one of its steps adds.

    A step runs on torch's `meta` device, where tensors have sizes and no content, and the bytes of
    all tensors that exist at once are summed up, temporary ones and gradients included. Attention
    counts as the fused kernels of GPUs hold it. What is not in it: the driver, buffers of libraries
    and what the allocator loses between tensors, and aligners other than UAWarpC.

    Args:
        config: Config of a training.
        amp: With 16 bits where `torch.autocast` on a GPU has them.

    Returns:
        `weights` of all networks and buffers (a teacher's too), `optimiser`, and `step`, the peak
        beyond both.
    """
    config = without_matches(config)
    with torch.device('meta'):
        model, wrapper = build_step(config, torch.device('meta'), amp=None)
    items = random_items(config)
    peaks: list[int] = []
    with without_autocast(), gpu_kernels(amp), LiveBytes() as live:
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
    report.table(
        'GiB, estimated', COLUMNS, {short: rows[name] for short, name in short_names(rows).items()}
    )
    report.content['cost'] = rows
    return report


def _bytes(tensors: list[Any]) -> int:
    storages = [tensor.untyped_storage() for tensor in tensors if isinstance(tensor, Tensor)]
    return sum({storage._cdata: storage.nbytes() for storage in storages}.values())


class LiveBytes(TorchDispatchMode):
    """While inside, sums the bytes of the meta tensors that are made and not yet freed.

    Attributes:
        peak: The largest sum so far.
    """

    def __init__(self) -> None:
        super().__init__()
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
            if isinstance(leaf, Tensor) and leaf.is_meta:
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


@contextmanager
def gpu_kernels(amp: bool) -> Iterator[None]:
    """On the meta device: precisions as autocast has them on a GPU, and fused attention.

    Autocast does not know that device. Functions are replaced, since a mode of torch ends where the
    backward pass begins, in which activations may be computed again.
    """
    kept: dict[int, Tensor] = {}  # weights in 16 bits, which autocast keeps for a step

    def low(value: Any) -> Any:
        if not (isinstance(value, Tensor) and value.dtype is torch.float32 and value.is_meta):
            return value
        if not (value.requires_grad and value.is_leaf):
            return value.bfloat16()
        if id(value) not in kept:
            kept[id(value)] = value.bfloat16()
        return kept[id(value)]

    def attention(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return _FusedAttention.apply(
            *(map(low, (query, key, value)) if amp else (query, key, value))
        )

    with ExitStack() as undo:
        undo.enter_context(mock.patch.object(F, 'scaled_dot_product_attention', attention))
        for functions, cast in ((_LOW, low), (_HIGH, _high)):
            for owner, name in functions if amp else ():
                replaced = _with_cast(getattr(owner, name), cast)
                undo.enter_context(mock.patch.object(owner, name, replaced))
        yield


def _with_cast(function: Callable, cast: Callable) -> Callable:
    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = tree_map(cast, (args, kwargs))
        return function(*args, **kwargs)

    return call


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
