"""Work beside the network: files are decoded before it needs them and written after it is done."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar('T')
S = TypeVar('S')


def ahead(
    function: Callable[[S], T], items: Iterable[S], *, workers: int, depth: int
) -> Generator[T, None, None]:
    """`map` in threads that works `depth` items ahead of its consumer and keeps the order.

    Threads suffice where the work is OpenCV's or NumPy's: they hold no interpreter lock.

    Args:
        function: Called once an item; what it raises is raised when the item's turn comes.
        items: Taken one by one, in the calling thread.
        workers: Threads; 0 works in the calling thread, not ahead.
        depth: Items that are worked on or wait to be taken, at most.
    """
    if workers == 0:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix='ahead')
    waiting: deque[Future[T]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class Writer:
    """Runs jobs (encode and write a file) in threads; a context.

    A job that fails ends the context, or the next `submit`, with its error. Waiting jobs are
    bounded, so that results do not pile up in memory where writing is slower than the network.

    Args:
        workers: Threads; 0 runs each job at once.
        depth: Jobs that run or wait, at most.
    """

    def __init__(self, workers: int = 2, depth: int = 16) -> None:
        self._pool = ThreadPoolExecutor(workers, 'writer') if workers else None
        self._depth = depth
        self._waiting: deque[Future] = deque()

    def submit(self, job: Callable[..., Any], *arguments: Any) -> None:
        """Runs `job(*arguments)` as soon as a thread is free."""
        if self._pool is None:
            job(*arguments)
            return
        self._waiting.append(self._pool.submit(job, *arguments))
        while len(self._waiting) > self._depth or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()

    def __enter__(self) -> 'Writer':
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Waits for the jobs; on an error those that have not begun are dropped."""
        if self._pool is None:
            return
        self._pool.shutdown(cancel_futures=kind is not None)
        if kind is None:
            while self._waiting:
                self._waiting.popleft().result()
