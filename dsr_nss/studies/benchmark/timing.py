"""Repeated measurements on a CPU or a GPU.

`torch.utils.benchmark.Timer` times one piece of work after the other and warms up with two calls
each time, which triples what a training step costs; here pieces of work take turns.
"""

import gc
import itertools
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from operator import itemgetter
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

#: What was measured of one thing, as it stands in JSON files: `summarise`; or `failed`: why not.
Row = dict[str, Any]

#: In the place of what the device's memory did not suffice for.
OUT_OF_MEMORY = 'out of memory'

#: When measurements should end, on the clock `time.perf_counter`.
_deadline: ContextVar[float] = ContextVar('deadline', default=math.inf)


def summarise(samples: Sequence[float]) -> Row:
    """`median_s`, `min_s` and `max_s` of seconds, and `repeats`, their number."""
    return {
        'median_s': statistics.median(samples),
        'min_s': min(samples),
        'max_s': max(samples),
        'repeats': len(samples),
    }


def span(row: Row) -> str:
    """`12 ms (11 to 14)`, the median and the extremes; or why there is none."""
    if 'failed' in row:
        return row['failed']
    scale, unit = (1000, 'ms') if row['median_s'] < 1 else (1, 's')
    median, low, high = (f'{scale * row[key]:.4g}' for key in ('median_s', 'min_s', 'max_s'))
    return f'{median} {unit} ({low} to {high})'


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """While inside, measurements are repeated less often where the time runs out.

    Args:
        seconds: Time for all measurements inside. One repeat of each is always made, so this is no
            hard limit.
    """
    token = _deadline.set(time.perf_counter() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def time_left() -> float:
    """Seconds that `time_limit` has left, not below 0; infinite outside of one."""
    return max(0.0, _deadline.get() - time.perf_counter())


def rounds(repeats: int) -> Iterator[int]:
    """`range(repeats)`, cut short when half of what `time_limit` had left is over.

    Half, so that what is measured next has time too. The first round is always made.
    """
    end = time.perf_counter() + time_left() / 2
    for i in range(repeats):
        if i > 0 and time.perf_counter() >= end:
            return
        yield i


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device's memory did not suffice, by the allocator or a library on top of it."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        # of CUDA's libraries, and of torch's allocator on CPUs
        and any(text in str(error) for text in ('ALLOC_FAILED', "can't allocate memory"))
    )


def attempt(function: Callable[[], Row], device: torch.device) -> Row:
    """The row that a function returns, or a failed one if the device has too little memory."""
    try:
        return function()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    release_memory(device)  # the error is gone, and with it the frames that held the tensors
    return {'failed': OUT_OF_MEMORY}


def release_memory(device: torch.device) -> None:
    """Gives what nothing holds any more back to the device."""
    gc.collect()
    if device.type == 'cuda':
        synchronise(device)
        torch.cuda.empty_cache()


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done what it was asked; a CPU already has."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def measure(
    work: Sequence[Callable[[], Any]], device: torch.device, *, warmup: int, repeats: int
) -> list[Row]:
    """Times several pieces of work in turns, so that what else the machine does hits all alike.

    Args:
        work: Functions without arguments.
        device: Device on which they compute.
        warmup: Calls of each before the clock starts.
        repeats: Timed calls of each; fewer where a `time_limit` asks for it.

    Returns:
        A row for each of `work`, see `summarise`.
    """
    for _ in rounds(warmup):
        for function in work:
            function()
    samples: list[list[float]] = [[] for _ in work]
    for _ in rounds(repeats):
        for function, times in zip(work, samples, strict=True):
            synchronise(device)
            start = time.perf_counter()
            function()
            synchronise(device)
            times.append(time.perf_counter() - start)
    return [summarise(times) for times in samples]


def peak_memory(work: Callable[[], Any], device: torch.device) -> int:
    """The most bytes that a call holds beyond what was held before, without warm-up.

    On a GPU by the allocator's own count, on a CPU by adding up what the profiler saw being
    allocated and freed.
    """
    if device.type == 'cuda':
        synchronise(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        synchronise(device)
        return torch.cuda.max_memory_allocated(device) - before
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # or it writes to stderr that there is no GPU
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    kineto = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = [(event.start_ns(), event.nbytes()) for event in kineto if event.name() == '[memory]']
    sizes = (size for _, size in sorted(changes, key=itemgetter(0)))
    return max(itertools.accumulate(sizes, initial=0))
