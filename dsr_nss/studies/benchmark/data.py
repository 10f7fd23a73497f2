"""The input pipeline: what a training item costs, how fast the loader is, what memory it takes."""

import math
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmseg.registry import DATASETS
from torch.utils.data import default_collate

from dsr_nss.datasets import images, pixel_cache, pixels, png, source_target
from dsr_nss.engine.runner import AdaptationRunner
from dsr_nss.errors import ConfigError
from dsr_nss.studies.benchmark.stages import Part, StageMeter, by_stage
from dsr_nss.studies.benchmark.step import pinned
from dsr_nss.studies.benchmark.timing import (
    Report,
    Row,
    Turns,
    number,
    scaled,
    seconds_of,
    span,
    summarise,
)

#: The functions that do the work of an item, in its order; what belongs to none is the rest.
PARTS: tuple[Part, ...] = (
    (images, 'read_bytes', ['read']),
    (pixel_cache.CachedFiles, 'read', ['read']),
    (images, '_decode_image', ['decode']),
    (images, '_decode_label', ['decode']),
    (pixels, '_resize', ['resize']),
    (source_target, 'source_box', ['crop']),
    (source_target, 'random_box', ['crop']),
    (source_target, '_image_tensor', ['flip']),
    (source_target, '_label_tensor', ['flip']),
)
STAGES = (*dict.fromkeys(stage for _, _, (stage,) in PARTS), 'rest', 'collate', 'transfer')
COLUMNS = {
    'time': span,
    'repeats': number('repeats', '.0f'),
    'items/s': number('items_per_s', '.1f'),
    'x first': number('times_first', '.1f'),
    'workers': number('workers', '.0f'),
    'MiB each': number('peak_memory', '.0f', 2**-20),
}
#: Of a watch of the memory: the share that counts as warm-up, and the most seconds of it.
WARM_UP, LONGEST_WARM_UP = 0.25, 300.0


def benchmark_data(
    config: Config,
    turns: Turns,
    *,
    cache: str | None = None,
    workers: int | None = None,
    step_time: float = 1.0,
    stages: bool = True,
) -> Report:
    """Times items and loaders: the config's own, out of a cache, and of PNGs decoded by OpenCV.

    Returns:
        `items`: reader -> its row of `benchmark_items`, the `workers` that keep up with a training
        step of `step_time` seconds, and its `loader` of `benchmark_loader`.

    Raises:
        ConfigError: `cache` is given for a data set that has none.
    """
    loader = config.train_dataloader
    # reader -> its cache, and what makes a function of the data read that way.
    readers: dict[str, tuple[str | None, Callable]] = {}
    for path in dict.fromkeys([loader.dataset.get('cache'), cache or loader.dataset.get('cache')]):
        if path is not None:
            readers[f'cache {path}'] = path, _unchanged
            continue
        readers['files, PNG by OpenCV'] = None, png.not_in_use()
        if png.available():
            readers['files, PNG by deflate and pyspng'] = None, _unchanged
    makers = {}
    for name, (path, reading) in readers.items():
        dataset = DATASETS.build(_reading(loader.dataset, path))
        makers[name] = reading(dataset.__getitem__)
    rows = benchmark_items(makers, turns, loader.batch_size)
    for name, row in rows.items():
        path, reading = readers[name]
        loader.dataset = _reading(loader.dataset, path)
        needed = math.ceil(loader.batch_size * row['mean_s'] / step_time)
        row['workers'] = max(1, needed)
        row['times_first'] = next(iter(rows.values()))['median_s'] / row['median_s']
        row['loader'] = reading(benchmark_loader)(config, turns, workers)
    report = Report(turns.device, batch_size=loader.batch_size, step_time_s=step_time, items=rows)
    batches = f'batch of {loader.batch_size} from the loader'
    report.table(
        '',
        COLUMNS,
        {f'item, {name}': row for name, row in rows.items()},
        {f'{batches}, {name}': row['loader'] for name, row in rows.items()},
    )
    report.say(f'workers of an item: as many as keep up with steps of {step_time:g} s')
    for name, row in rows.items() if stages else ():
        report.table(name, {'an item': span}, row['stages'])
    return report


def _reading(dataset: ConfigDict, cache: str | None) -> ConfigDict:
    """The config of a data set that reads a cache, or the files; only an adaptation's has one."""
    if cache is not None and dataset.type != 'SourceTargetDataset':
        raise ConfigError(f'only a SourceTargetDataset has a cache, not a {dataset.type}')
    told = {} if cache is None else {'cache': cache}
    return ConfigDict({key: value for key, value in dataset.items() if key != 'cache'} | told)


def _unchanged(function: Callable) -> Callable:
    return function


def benchmark_items(
    makers: Mapping[str, Callable[[int], dict]], turns: Turns, batch_size: int
) -> dict[str, Row]:
    """Times batches of items in turns, on one thread of this process.

    Args:
        makers: Name -> function that makes the item of a sample number; all get the same ones.
        turns: How batches are timed.
        batch_size: Items in a batch.

    Returns:
        Name -> processor seconds for each item (what other programs do in the meantime does not
        count), from reading to the collated batch; the mean counts, as items differ in how many
        crops were tried; `items_per_s`; and `stages`: name -> a row, of which `transfer`
        (to the device, wall time) is not in the sum.
    """
    meter, device = StageMeter(time.thread_time, STAGES), turns.device

    def batch(make: Callable[[int], dict], numbers: Iterator[int]) -> dict[str, float]:
        with meter.stage('rest'):
            items = [make(number) for number in islice(numbers, batch_size)]
        with meter.stage('collate'):
            collated = default_collate(items)
        tensors = [x for x in pinned(collated, device).values() if torch.is_tensor(x)]
        moved = seconds_of(lambda: [x.to(device, non_blocking=True) for x in tensors], device)
        parts = meter.take() | {'transfer': moved}
        return {name: seconds / batch_size for name, seconds in parts.items()}

    work = {name: partial(batch, make, count()) for name, make in makers.items()}
    with ExitStack() as undo:
        undo.callback(torch.set_num_threads, torch.get_num_threads())
        undo.callback(cv2.setNumThreads, cv2.getNumThreads())
        torch.set_num_threads(1)
        cv2.setNumThreads(0)
        undo.enter_context(meter.attached(PARTS))
        return {name: _item_row(batches) for name, batches in turns.collect(work).items()}


def _item_row(batches: Sequence[dict[str, float]]) -> Row:
    row = summarise([sum(batch.values()) - batch['transfer'] for batch in batches])
    return {**row, 'items_per_s': 1 / row['mean_s'], 'stages': by_stage(batches)}


def benchmark_loader(config: Config, turns: Turns, workers: int | None = None) -> Row:
    """Times the loader that training would build, in whole rounds of its workers.

    Returns:
        The row of a batch in wall seconds, each the mean over a round of the workers; `workers`;
        `batches`, the number that was measured; `items_per_s` over all of them; `peak_memory`: the
        most bytes that a worker had resident.
    """
    with training_loader(config, workers) as (batches, workers):

        def take(number: int) -> None:
            deque(islice(batches, number), maxlen=0)

        take(turns.warmup + 2 * workers)  # the loader reads two batches ahead
        # Workers that began together deliver together: only whole rounds of them show their rate.
        repeats = max(2, math.ceil(turns.repeats / workers))
        timed = turns._replace(warmup=0, repeats=repeats).row(partial(take, workers))
        peak = peak_memory_of([child.pid for child in multiprocessing.active_children()])
    row = scaled(timed, 1 / workers)
    rate = config.train_dataloader.batch_size / row['mean_s']
    facts = {'workers': workers, 'batches': workers * row['repeats'], 'items_per_s': rate}
    return {**row, **facts, 'peak_memory': peak}


@contextmanager
def training_loader(config: Config, workers: int | None) -> Iterator[tuple[Iterator[Any], int]]:
    """The batches of the training's own loader and the number of its processes.

    These are at least one, the config's number if `workers` names none, and end with the context.
    """
    workers = workers or max(1, config.train_dataloader.get('num_workers', 0))
    settings = {**config.train_dataloader.to_dict(), 'num_workers': workers}
    seed = config.get('randomness', {}).get('seed', 0)
    iterator = iter(AdaptationRunner.build_dataloader(settings, seed=seed))
    try:
        yield iterator, workers
    finally:
        iterator._shutdown_workers()


def soak(
    config: Config,
    turns: Turns,
    *,
    minutes: float,
    workers: int | None = None,
    cache: str | None = None,
) -> Report:
    """Reads batches of the training's loader so long and watches its memory.

    Raises:
        ConfigError: This system does not tell (it is not Linux), the time is too short, or `cache`
            is given for a data set that has none.
    """
    if cache is not None:
        loader = config.train_dataloader
        loader.dataset = _reading(loader.dataset, cache)
    with training_loader(config, workers) as (batches, _):
        growth = memory_growth(*watch_memory(batches, minutes))
    report = Report(turns.device, **growth)
    columns = {
        'minutes': number('minutes', '.1f'),
        'of them warm-up': number('warm_up', '.1f'),
        'MiB at least': number('least', '.0f', 2**-20),
        'at most': number('most', '.0f', 2**-20),
        'MiB a minute': number('growth_per_minute', '+.2f', 2**-20),
    }
    report.table('', columns, {'all processes together, after the warm-up': growth})
    return report


def watch_memory(
    batches: Iterator[Any], minutes: float, interval: float = 2.0
) -> tuple[np.ndarray, np.ndarray]:
    """Reads batches for some time and notes the memory every `interval` seconds.

    Returns:
        Seconds since the start, and bytes of all processes together; a page that several share
        counts once, and no file's pages count.
    """
    if 60 * minutes < 8 * interval:
        raise ConfigError(f'{minutes:g} minutes are too short to see memory grow')
    start = time.monotonic()
    notes: list[tuple[float, int]] = []
    for _ in batches:
        now = time.monotonic() - start
        if not notes or now >= notes[-1][0] + interval:
            pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
            own, *others = (Path(f'/proc/{pid}/smaps_rollup') for pid in pids)
            sizes = [_sizes(own), *(_sizes(file) for file in others if file.exists())]
            notes.append((now, sum(size['Pss_Anon'] + size['Pss_Shmem'] for size in sizes)))
        if now >= 60 * minutes:
            break
    seconds, memory = np.array(notes).T
    return seconds, memory


def memory_growth(seconds: np.ndarray, memory: np.ndarray) -> dict[str, Any]:
    """The slope of the line nearest to the readings after the warm-up, in bytes a minute.

    Args:
        seconds, memory: Same meaning as the result of `watch_memory`.
    """
    warm_up = min(WARM_UP * float(seconds[-1]), LONGEST_WARM_UP)
    late = seconds >= warm_up
    slope, _ = np.polyfit(seconds[late] / 60, memory[late], 1)
    return {
        'seconds': seconds.tolist(),
        'memory': memory.tolist(),
        'minutes': float(seconds[-1]) / 60,
        'warm_up': warm_up / 60,
        'least': float(memory[late].min()),
        'most': float(memory[late].max()),
        'growth_per_minute': float(slope),
    }


def peak_memory_of(pids: Sequence[int | None]) -> int:
    """The most bytes that a process had resident, shared pages included; 0 if unknown."""
    paths = [Path(f'/proc/{pid}/status') for pid in pids]
    return max((_sizes(path)['VmHWM'] for path in paths if path.is_file()), default=0)


def _sizes(path: Path) -> dict[str, int]:
    """The sizes in a file of `/proc`, in bytes."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ConfigError(
            f'{path} cannot be read ({error.strerror}); only Linux tells the memory of a process'
        ) from error
    rows = (line.split() for line in lines if line.endswith(' kB'))
    return {row[0].rstrip(':'): 1024 * int(row[1]) for row in rows}
