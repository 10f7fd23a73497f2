"""Where the time of a training step goes.

The step is not rewritten for this: its parts are wrapped while it is measured, and each part's time
excludes the parts inside it. On a GPU each border waits for the device, so the stages add up to
more than an undisturbed step.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from mmengine.optim import OptimWrapper

from dsr_nss.models.segmentors.adaptation import Adaptation
from dsr_nss.studies.benchmark.timing import synchronise

#: In the order in which a step goes through them.
STAGES = (
    'source pass', 'teacher', 'alignment', 'refinement', 'mixing', 'mixed pass', 'FPA',
    'feature distance', 'masked pass', 'backward', 'optimiser', 'EMA', 'rest',
)  # fmt: skip


class StageMeter:
    """Sums what a meter reads by stage; inner stages are not counted in outer ones.

    Args:
        read: Reads the meter: a clock, or a counter of FLOPs.
    """

    def __init__(self, read: Callable[[], float]) -> None:
        self.read = read
        self.totals: dict[str, float] = defaultdict(float)
        #: How often each method was called in the outermost stage, a step.
        self.calls: Counter[str] = Counter()
        self._stack: list[str] = []
        self._last = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What happens inside belongs to `name`."""
        self._charge()
        self._stack.append(name)
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()
            if not self._stack:
                self.calls.clear()

    def _charge(self) -> None:
        now = self.read()
        if self._stack:
            self.totals[self._stack[-1]] += now - self._last
        self._last = now

    def take(self) -> dict[str, float]:
        """The sums since the last call, in the order of `STAGES`, without empty stages."""
        totals, self.totals = self.totals, defaultdict(float)
        return {name: totals[name] for name in STAGES if name in totals}


def clock(device: torch.device) -> Callable[[], float]:
    """Seconds, after the device has done what it was asked."""

    def read() -> float:
        synchronise(device)
        return time.perf_counter()

    return read


@contextmanager
def metered(model: Adaptation, optim_wrapper: OptimWrapper, meter: StageMeter) -> Iterator[None]:
    """While inside, `model.train_step` reports its stages to the meter."""
    refinement = getattr(model, 'refinement', None)
    passes = ['source pass', 'mixed pass', 'masked pass']
    wrapped: list[tuple[Any, str, Sequence[str]]] = [
        (model, 'train_step', ['rest']),
        (model.student, 'forward_train', passes),
        (model.student, 'segmentation_loss', passes),
        (optim_wrapper, 'backward', ['backward']),
        (optim_wrapper, 'step', ['optimiser']),
        (optim_wrapper, 'zero_grad', ['optimiser']),
        (model, 'after_step', ['EMA']),
        (getattr(model, 'teacher', None), 'forward', ['teacher']),
        (refinement, 'forward', ['refinement']),
        (getattr(refinement, 'aligner', None), 'forward', ['alignment']),
        (model, '_mix', ['mixing']),
        (model, '_align', ['FPA']),
        (getattr(model, 'feature_distance', None), 'forward', ['feature distance']),
    ]
    with ExitStack() as undo:
        for owner, attribute, names in wrapped:
            if hasattr(owner, attribute):
                method = _metered(getattr(owner, attribute), attribute, names, meter)
                undo.enter_context(mock.patch.object(owner, attribute, method))
        yield


def _metered(method: Callable, attribute: str, names: Sequence[str], meter: StageMeter) -> Callable:
    """The calls of a method within a step count as `names` in turn."""

    def call(*args: Any, **kwargs: Any) -> Any:
        name = names[meter.calls[attribute] % len(names)]
        meter.calls[attribute] += 1
        with meter.stage(name):
            return method(*args, **kwargs)

    return call
