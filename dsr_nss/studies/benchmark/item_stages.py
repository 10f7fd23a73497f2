"""Where the time of a training item goes: its functions, wrapped from outside while one listens."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from dsr_nss.datasets import images, pixel_cache, pixels, source_target

#: Stage -> the functions that do its work, none of which calls another of them.
FUNCTIONS: dict[str, tuple[tuple[Any, str], ...]] = {
    'read': ((images, 'read_bytes'), (pixel_cache.CachedFiles, 'read')),
    'decode': ((images, '_decode_image'), (images, '_decode_label')),
    'resize': ((pixels, '_resize'),),
    'crop': ((source_target, 'source_box'), (source_target, 'random_box')),
    'flip': ((source_target, '_image_tensor'), (source_target, '_label_tensor')),
}


@contextmanager
def listen() -> Iterator[dict[str, float]]:
    """Adds up the seconds of each stage in this process.

    Processor time: what other programs do in the meantime does not count.
    """
    seconds: dict[str, float] = defaultdict(float)
    with ExitStack() as stack:
        for stage, functions in FUNCTIONS.items():
            for owner, name in functions:
                timed = _timed(getattr(owner, name), seconds, stage)
                stack.enter_context(mock.patch.object(owner, name, timed))
        yield seconds


def _timed(function: Callable, seconds: dict[str, float], stage: str) -> Callable:
    def call(*args: Any, **kwargs: Any) -> Any:
        start = time.thread_time()
        try:
            return function(*args, **kwargs)
        finally:
            seconds[stage] += time.thread_time() - start

    return call
