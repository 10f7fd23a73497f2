"""Where the time of a training item goes: marks that a benchmark listens to."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

_SILENT = nullcontext()
_seconds: dict[str, float] | None = None


def stage(name: str) -> AbstractContextManager[None]:
    """Marks a part of the work on an item. Costs next to nothing while nobody listens.

    Args:
        name: What the part does: read, decode, resize, crop, flip.
    """
    return _SILENT if _seconds is None else _Timed(name)


@contextmanager
def listen() -> Iterator[dict[str, float]]:
    """Adds up the seconds of each stage in this thread and process.

    Processor time: what other programs do in the meantime does not count.
    """
    global _seconds
    before, _seconds = _seconds, defaultdict(float)
    try:
        yield _seconds
    finally:
        _seconds = before


class _Timed:
    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        self.start = time.thread_time()

    def __exit__(self, *exception: object) -> None:
        if _seconds is not None:
            _seconds[self.name] += time.thread_time() - self.start
