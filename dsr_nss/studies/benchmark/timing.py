"""What every benchmark is made of: pieces of work by name, timed in turns, their rows, and tables.

`torch.utils.benchmark.Timer` times one piece of work after the other and warms up with two calls
each time, which triples what a training step costs; here pieces of work take turns.
"""

import gc
import math
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import accumulate, takewhile
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch.profiler import ProfilerActivity, profile

from dsr_nss.engine.devices import is_out_of_memory
from dsr_nss.engine.environment import describe_environment, describe_machine
from dsr_nss.visualization.text_table import text_table

#: What was measured of one thing, as it stands in JSON files: `summarise`; or `failed`: why not.
Row = dict[str, Any]
#: What stands in a column of a table.
Column = Callable[[Row], str]
T = TypeVar('T')


class Turns(NamedTuple):
    """How work is measured: in turns, so that what else the machine does hits all alike.

    Attributes:
        device: Device on which it computes.
        warmup: Calls of each piece of work before the clock starts.
        repeats: Calls of each that count; fewer where the time runs out.
        end: When measurements should end, on the clock `time.perf_counter`. One call of each always
            counts, so this is no hard limit.
    """

    device: torch.device
    warmup: int = 2
    repeats: int = 10
    end: float = math.inf

    @property
    def seconds_left(self) -> float:
        """Seconds until `end`, not below 0."""
        return max(0.0, self.end - time.perf_counter())

    def rounds(self, number: int) -> Iterable[int]:
        """`range(number)`, cut short when half of what time was left is over.

        Half, so that what is measured next has time too. The first round is always made.
        """
        stop = time.perf_counter() + self.seconds_left / 2
        return takewhile(lambda i: i == 0 or time.perf_counter() < stop, range(number))

    def collect(self, work: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
        """Name -> what the calls that count returned."""
        for _ in self.rounds(self.warmup):
            for function in work.values():
                function()
        results: dict[str, list[T]] = {name: [] for name in work}
        for _ in self.rounds(self.repeats):
            for name, function in work.items():
                results[name].append(function())
        return results

    def measure(self, work: Mapping[str, Callable[[], Any]]) -> dict[str, Row]:
        """Name -> the row of its times, see `summarise`."""
        timed = {name: partial(seconds_of, each, self.device) for name, each in work.items()}
        return {name: summarise(samples) for name, samples in self.collect(timed).items()}

    def row(self, function: Callable[[], Any]) -> Row:
        """The row of one piece of work."""
        return self.measure({'': function})['']


def seconds_of(function: Callable[[], Any], device: torch.device) -> float:
    """Wall time of one call, from an idle device to an idle device."""
    start = now(device)
    function()
    return now(device) - start


def now(device: torch.device) -> float:
    """Seconds of a clock, after the device has done what it was asked; a CPU always has."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter()


def summarise(samples: Sequence[float]) -> Row:
    """`median_s`, `mean_s`, `min_s` and `max_s` of seconds, and `repeats`, their number."""
    row: Row = {'median_s': statistics.median(samples), 'mean_s': statistics.mean(samples)}
    return row | {'min_s': min(samples), 'max_s': max(samples), 'repeats': len(samples)}


def scaled(row: Row, factor: float) -> Row:
    """The row with all of its seconds times `factor`."""
    return {key: factor * value if key.endswith('_s') else value for key, value in row.items()}


def attempt(function: Callable[[], Row], device: torch.device) -> Row:
    """The row that a function returns, or a failed one if the device has too little memory."""
    try:
        return function()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    release_memory(device)  # the error is gone, and with it the frames that held the tensors
    return {'failed': 'out of memory'}


def release_memory(device: torch.device) -> None:
    """Gives what nothing holds any more back to the device."""
    gc.collect()
    if device.type == 'cuda':
        now(device)
        torch.cuda.empty_cache()


def peak_memory(work: Callable[[], Any], device: torch.device) -> int:
    """The most bytes that a call holds beyond what was held before, without warm-up.

    On a GPU by the allocator's own count, on a CPU by adding up what the profiler saw being
    allocated and freed.
    """
    if device.type == 'cuda':
        now(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        seconds_of(work, device)
        return torch.cuda.max_memory_allocated(device) - before
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # or it writes to stderr that there is no GPU
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    kineto = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = [(event.start_ns(), event.nbytes()) for event in kineto if event.name() == '[memory]']
    return max(accumulate((size for _, size in sorted(changes, key=itemgetter(0))), initial=0))


class Report:
    """What a benchmark says: `content` for a JSON file, and the same to read as `text`.

    Args:
        device: Device that was measured; what it is begins every report.
        facts: Further content; `amp` is the precision of everything.
    """

    def __init__(self, device: torch.device, **facts: Any) -> None:
        environment = describe_environment()
        machine = {'device': describe_machine(device.type), 'threads': torch.get_num_threads()}
        versions = {'torch': environment['torch'], 'commit': environment['git_commit']}
        self.content: dict[str, Any] = {**machine, **versions, **facts}
        precision = f'{facts["amp"] or "float32"}, ' if 'amp' in facts else ''
        self.text = (
            f'{machine["device"]}, {machine["threads"]} thread(s), torch {versions["torch"]}, '
            f'{precision}commit {versions["commit"]}'
        )

    def say(self, text: str) -> None:
        """A further line."""
        self.text += f'\n{text}'

    def table(self, title: str, columns: Mapping[str, Column], *blocks: Mapping[str, Row]) -> None:
        """A further table, see `table`."""
        self.say(f'\n{table(title, columns, *blocks)}')


def short_names(configs: Iterable[str]) -> dict[str, str]:
    """Config files by what a report calls them: the stem, or the whole where two are alike."""
    stems = Counter(Path(name).stem for name in configs)
    return {Path(n).stem if stems[Path(n).stem] == 1 else n: n for n in configs}


def table(title: str, columns: Mapping[str, Column], *blocks: Mapping[str, Row]) -> str:
    """Blocks of rows by name, as text; `title` is the heading of the names."""
    cells = [
        [[name, *(column(row) for column in columns.values())] for name, row in block.items()]
        for block in blocks
    ]
    return text_table([title, *columns], *cells)


def number(key: str, form: str = '.2f', scale: float = 1) -> Column:
    """A column of `scale` times an entry, formatted; empty in rows without it."""
    return lambda row: f'{scale * row[key]:{form}}' if key in row else ''


def span(row: Row) -> str:
    """A column: `12 ms (11 to 14)`, the median and the extremes; or why there is none."""
    if 'failed' in row:
        return row['failed']
    scale, unit = (1000, 'ms') if row['median_s'] < 1 else (1, 's')
    median, low, high = (f'{scale * row[key]:.4g}' for key in ('median_s', 'min_s', 'max_s'))
    return f'{median} {unit} ({low} to {high})'


#: The columns of every time with its memory.
COSTS = {
    'time': span,
    'repeats': number('repeats', '.0f'),
    'MiB': number('peak_memory', '.0f', 2**-20),
}
