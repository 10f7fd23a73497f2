"""Where the time or the operations of something go.

The code under test is not rewritten for this: its functions are wrapped from outside while it is
measured, and each one's time excludes the wrapped ones inside it. On a GPU each border waits for
the device, so the stages add up to more than an undisturbed step.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from mmengine.optim import OptimWrapper

from dsr_nss.models.segmentors.adaptation import Adaptation
from dsr_nss.studies.benchmark.timing import Row, summarise

#: Of a training step, in the order in which it goes through them.
STAGES = (
    'source pass', 'teacher', 'alignment', 'refinement', 'mixing', 'mixed pass', 'FPA',
    'feature distance', 'masked pass', 'backward', 'optimiser', 'EMA', 'rest',
)  # fmt: skip

#: An object, one of its functions, and the stages of the function's first, second, ... call.
Part = tuple[Any, str, Sequence[str]]


class StageMeter:
    """Sums what a meter reads by stage; inner stages are not counted in outer ones.

    Args:
        read: Reads the meter: a clock, or a counter of FLOPs.
        stages: Names of all stages, in the order in which they are told.
    """

    def __init__(self, read: Callable[[], float], stages: Sequence[str] = STAGES) -> None:
        self.read, self.stages = read, stages
        self._totals: dict[str, float] = defaultdict(float)
        #: How often each function was called in the outermost stage, a step.
        self._calls: Counter[str] = Counter()
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
                self._calls.clear()

    def _charge(self) -> None:
        reading = self.read()
        if self._stack:
            self._totals[self._stack[-1]] += reading - self._last
        self._last = reading

    def take(self) -> dict[str, float]:
        """The sums since the last call, in the order of the stages, without empty ones."""
        totals, self._totals = self._totals, defaultdict(float)
        return {name: totals[name] for name in self.stages if name in totals}

    @contextmanager
    def attached(self, parts: Sequence[Part]) -> Iterator[None]:
        """While inside, calls of the parts are counted; parts that do not exist are left out."""
        with ExitStack() as undo:
            for owner, attribute, names in parts:
                if hasattr(owner, attribute):
                    function = self._metered(getattr(owner, attribute), attribute, names)
                    undo.enter_context(mock.patch.object(owner, attribute, function))
            yield

    def _metered(self, function: Callable, attribute: str, names: Sequence[str]) -> Callable:
        def call(*args: Any, **kwargs: Any) -> Any:
            name = names[self._calls[attribute] % len(names)]
            self._calls[attribute] += 1
            with self.stage(name):
                return function(*args, **kwargs)

        return call


def by_stage(samples: Sequence[dict[str, float]]) -> dict[str, Row]:
    """Stage -> the row of what a meter gave several times."""
    names = dict.fromkeys(name for sample in samples for name in sample)
    return {name: summarise([sample.get(name, 0.0) for sample in samples]) for name in names}


def step_parts(model: Adaptation, optim_wrapper: OptimWrapper) -> list[Part]:
    """The parts of `model.train_step`."""
    refinement = getattr(model, 'refinement', None)
    passes = ['source pass', 'mixed pass', 'masked pass']
    return [
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
