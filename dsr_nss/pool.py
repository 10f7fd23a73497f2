"""The same work on many files, on all cores."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import torch
from tqdm import tqdm

from dsr_nss.errors import DataError, listing


@dataclass(frozen=True)
class Unusable:
    """What stands for the result of a file that cannot be used: a sentence that says why."""

    message: str


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def patient_environment() -> dict[str, str]:
    """The environment for a process whose OpenMP threads sleep soon when they wait for each other.

    By default they spin for long, and beside other busy processes they take each other's cores.
    Torch's wheels for Linux bring GNU's OpenMP, which counts the turns in `GOMP_SPINCOUNT`. To
    sleep at once (`OMP_WAIT_POLICY=PASSIVE`) is slower on a free machine (docs/performance.md).
    Where the user has set one of the two, it stays.
    """
    own = {'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT'} & os.environ.keys()
    return {**os.environ} if own else {**os.environ, 'GOMP_SPINCOUNT': '1000'}


def one_thread_each() -> None:
    """For processes that are as many as there are cores."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def try_files(
    function: Callable[[Any], Any],
    arguments: Iterable[Any],
    *,
    workers: int,
    description: str,
    show_progress: bool = True,
) -> list[Any]:
    """`[function(a) for a in arguments]` on `workers` processes, with a progress bar.

    Args:
        function: Picklable, called once an argument.
        arguments: Its arguments.
        workers: Processes; 1 works in this one.
        description: Title of the bar.
        show_progress: Whether to show the bar, if there is a terminal.

    Returns:
        What the calls returned; an `Unusable` where a file is missing or cannot be used, so that it
        does not end the work on the others.

    Raises:
        DataError: A process was killed.
        OSError: A result cannot be written, for instance on a full disk.
    """
    arguments = list(arguments)
    title = dict(desc=description, unit='file', disable=None if show_progress else True)
    bar: Any = partial(tqdm, total=len(arguments), **title)
    attempt = partial(_attempt, function)
    if workers <= 1:
        return [attempt(argument) for argument in bar(arguments)]
    with ProcessPoolExecutor(workers, initializer=one_thread_each) as pool:
        try:
            return list(bar(pool.map(attempt, arguments, chunksize=4)))
        except BrokenProcessPool:
            raise DataError(
                f'{description}: a process was killed, as happens for want of memory; use fewer '
                'with --workers'
            ) from None


def map_files(
    function: Callable[[Any], Any], arguments: Iterable[Any], *, description: str, **options: Any
) -> list[Any]:
    """`try_files` for work that needs all files: the others are done, then it is an error.

    Raises:
        DataError: Files cannot be used; names each of them.
    """
    results = try_files(function, arguments, description=description, **options)
    bad = [result.message for result in results if isinstance(result, Unusable)]
    if bad:
        raise DataError(
            f'{description}: {len(bad)} of {len(results)} files cannot be used:\n{listing(bad)}'
        )
    return results


def _attempt(function: Callable[[Any], Any], argument: Any) -> Any:
    try:
        return function(argument)
    except (DataError, FileNotFoundError) as error:
        return Unusable(str(error))
    except MemoryError:
        return Unusable(f'{argument}: it does not fit into the memory')
