"""The same work on many files, on all cores."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import cv2
from tqdm import tqdm


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def one_thread_each() -> None:
    """Initialiser of pool workers: the pool already uses every core."""
    cv2.setNumThreads(0)


def map_files(
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
        show_progress: Whether to show the bar.
    """
    arguments = list(arguments)
    bar = partial(tqdm, total=len(arguments), desc=description, disable=not show_progress)
    if workers <= 1:
        return [function(argument) for argument in bar(arguments)]
    with ProcessPoolExecutor(workers, initializer=one_thread_each) as pool:
        return list(bar(pool.map(function, arguments, chunksize=4)))
