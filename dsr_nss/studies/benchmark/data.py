"""The input pipeline: what a training item costs, how fast the loader is, what memory it takes."""

import math
import multiprocessing
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import chain, islice, pairwise
from typing import Any

import cv2
import torch
from mmengine.config import Config
from mmseg.registry import DATASETS
from torch.utils.data import Dataset, default_collate

from dsr_nss.datasets import png
from dsr_nss.engine.runner import AdaptationRunner
from dsr_nss.studies.benchmark.device import heading, machine
from dsr_nss.studies.benchmark.item_stages import listen
from dsr_nss.studies.benchmark.loader_memory import peak_memory_of, watch_memory
from dsr_nss.studies.benchmark.timing import Row, rounds, span, summarise, synchronise
from dsr_nss.visualization.text_table import text_table

#: In the order of the work; what belongs to none of them is the rest.
STAGES = ('read', 'decode', 'resize', 'crop', 'flip', 'rest', 'collate', 'transfer')


def report_data(
    config: Config,
    device: torch.device,
    *,
    cache: str | None,
    workers: int | None,
    step_time: float,
    warmup: int,
    repeats: int,
) -> dict[str, Any]:
    """Times the training data of a config; everything that `format_data` and a file need.

    Args:
        config: Config of a training.
        device: Device that batches are moved to.
        cache: Items out of this cache are timed in turns with the config's own, and with those
            that OpenCV decodes where the faster decoder of PNG files is installed.
        workers: Processes of the loader; None: the config's.
        step_time: Seconds of a training step, for the number of workers.
        warmup: Batches that are not timed.
        repeats: Batches that are.
    """
    settings = config.train_dataloader.dataset
    caches = list(dict.fromkeys([settings.get('cache'), cache or settings.get('cache')]))
    kinds = {_describe_reader(path): {**settings.to_dict(), 'cache': path} for path in caches}
    built: dict[str, Dataset] = {name: DATASETS.build(kind) for name, kind in kinds.items()}
    if png.available() and None in caches:
        name = _describe_reader(None)
        with png.not_in_use():
            slower = _describe_reader(None)
        built, kinds = {slower: _WithOpenCV(built[name]), **built}, {slower: kinds[name], **kinds}
    times = dict(warmup=warmup, repeats=repeats)
    batch_size = config.train_dataloader.batch_size
    rows = benchmark_items(built, batch_size=batch_size, device=device, **times)
    for name, row in rows.items():
        config.train_dataloader.dataset = kinds[name]
        row['workers_for_step_time'] = workers_needed(row['mean_s'], batch_size, step_time)
        with png.not_in_use() if isinstance(built[name], _WithOpenCV) else nullcontext():
            row['loader'] = benchmark_loader(config, workers=workers or _workers(config), **times)
    return {**machine(device), 'batch_size': batch_size, 'step_time_s': step_time, 'items': rows}


def benchmark_items(
    datasets: Mapping[str, Dataset],
    *,
    batch_size: int,
    device: torch.device,
    warmup: int,
    repeats: int,
) -> dict[str, Row]:
    """Times batches of items in turns, on one thread of this process.

    Args:
        datasets: Name -> dataset; all make their items from the same sample numbers.
        batch_size: Items in a batch.
        device: Device that batches are moved to.
        warmup: Batches that are not timed.
        repeats: Batches that are.

    Returns:
        Name -> processor seconds for each item, from reading to the collated batch; `mean_s`, their
        mean (items differ in how many crops were tried); `items_per_s_and_core`; and `stages`: name
        -> a row, of which `transfer` (to the device) is not in the sum.
    """
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in datasets}
    with _one_thread():
        for batch in chain(range(warmup), (warmup + i for i in rounds(repeats))):
            numbers = range(batch * batch_size, (batch + 1) * batch_size)
            for name, dataset in datasets.items():
                seconds = _batch(dataset, numbers, device)
                if batch >= warmup:
                    samples[name].append(seconds)
    return {name: _item_row(batches) for name, batches in samples.items()}


def _batch(dataset: Dataset, numbers: range, device: torch.device) -> dict[str, float]:
    """Seconds an item by stage."""
    with listen() as seconds:
        start = time.thread_time()
        items = [dataset[number] for number in numbers]
        made = time.thread_time()
        collated = default_collate(items)
        collate = time.thread_time() - made
    parts = {**seconds, 'rest': made - start - sum(seconds.values()), 'collate': collate}
    tensors = [value for value in collated.values() if torch.is_tensor(value)]
    if device.type == 'cuda':  # as `pin_memory=True` prepares them
        tensors = [tensor.pin_memory() for tensor in tensors]
    synchronise(device)
    start = time.perf_counter()
    for tensor in tensors:
        tensor.to(device, non_blocking=True)
    synchronise(device)
    parts['transfer'] = time.perf_counter() - start
    return {name: value / len(numbers) for name, value in parts.items()}


def _item_row(batches: list[dict[str, float]]) -> Row:
    totals = [sum(batch.values()) - batch['transfer'] for batch in batches]
    names = [name for name in STAGES if any(name in batch for batch in batches)]
    return {
        **summarise(totals),
        'mean_s': statistics.mean(totals),
        'items_per_s_and_core': 1 / statistics.mean(totals),
        'stages': {name: summarise([b.get(name, 0.0) for b in batches]) for name in names},
    }


def workers_needed(item_seconds: float, batch_size: int, step_time: float) -> int:
    """How many loader processes give a batch every `step_time` seconds."""
    return max(1, math.ceil(batch_size * item_seconds / step_time))


@contextmanager
def _one_thread() -> Iterator[None]:
    threads, cv_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(cv_threads)


def benchmark_loader(config: Config, *, workers: int, warmup: int, repeats: int) -> Row:
    """Times the loader that training would build.

    Args:
        config: Config of a training.
        workers: Processes; at least 1.
        warmup: Batches that are not timed; each worker's first ones are made in them.
        repeats: Batches that are, at least; whole rounds of the workers.

    Returns:
        `workers`; `batches`, the number that was measured; `items_per_s` over all of them; `batch`:
        wall seconds per batch, each the mean over a round of the workers; `peak_memory`: the most
        bytes that each worker had resident.
    """
    batch_size = config.train_dataloader.batch_size
    with training_loader(config, workers) as batches:
        for _ in islice(batches, warmup + 2 * workers):  # the loader reads two batches ahead
            pass
        times = [time.perf_counter()]
        # Workers that began together deliver together: only whole rounds of them show their rate.
        for _ in rounds(max(2, math.ceil(repeats / workers))):
            for _ in islice(batches, workers):
                pass
            times.append(time.perf_counter())
        peaks = peak_memory_of([child.pid for child in multiprocessing.active_children()])
    samples = [(after - before) / workers for before, after in pairwise(times)]
    number = workers * len(samples)
    return {
        'workers': workers,
        'batches': number,
        'items_per_s': number * batch_size / (times[-1] - times[0]),
        'batch': summarise(samples),
        'peak_memory': peaks,
    }


@contextmanager
def training_loader(config: Config, workers: int) -> Iterator[Iterator[Any]]:
    """The batches of the training's own loader, with this many processes; they end with it."""
    settings = {**config.train_dataloader.to_dict(), 'num_workers': workers}
    seed = config.get('randomness', {}).get('seed', 0)
    iterator = iter(AdaptationRunner.build_dataloader(settings, seed=seed))
    try:
        yield iterator
    finally:
        iterator._shutdown_workers()


class _WithOpenCV(Dataset):
    """The items of a dataset, made without the faster decoder of PNG files."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __getitem__(self, number: int) -> Any:
        with png.not_in_use():
            return self.dataset[number]


def soak(
    config: Config, *, minutes: float, workers: int | None = None, cache: str | None = None
) -> dict[str, Any]:
    """Reads batches of the training's loader for some time and watches its memory.

    Args:
        config: Config of a training.
        minutes: Time to watch, in minutes.
        workers: Processes of the loader; None: the config's.
        cache: Items come out of this cache; None: as the config says.

    Raises:
        ConfigError: `watch_memory` cannot measure on this system or for so short a time.
    """
    if cache is not None:
        config.train_dataloader.dataset.cache = cache
    with training_loader(config, workers or _workers(config)) as batches:
        return watch_memory(batches, minutes)


def _workers(config: Config) -> int:
    return max(1, config.train_dataloader.get('num_workers', 0))


def _describe_reader(cache: str | None) -> str:
    if cache is not None:
        return f'cache {cache}'
    return 'files, PNG by deflate and pyspng' if png.available() else 'files, PNG by OpenCV'


def format_data(report: Mapping[str, Any], show_stages: bool) -> str:
    """The report as text."""
    lines = [heading(report)]
    first: float | None = None
    for name, row in report['items'].items():
        first = first or row['median_s']
        loader = row['loader']
        peak = max(loader['peak_memory'], default=0) / 2**20
        lines += [
            f'{name}:',
            f'  an item on one core: {span(row)}, {row["items_per_s_and_core"]:.1f} items/s'
            + (f', {first / row["median_s"]:.1f}x the first' if row['median_s'] != first else ''),
        ]
        if show_stages:
            stages = [[stage, span(part)] for stage, part in row['stages'].items()]
            lines.append(text_table(['stage', 'an item'], stages))
        lines += [
            f'  {loader["workers"]} worker(s): {loader["items_per_s"]:.1f} items/s, '
            f'a batch of {report["batch_size"]} every {span(loader["batch"])}, median of '
            f'{loader["batch"]["repeats"]} round(s) of the workers, '
            f'at most {peak:.0f} MiB resident each',
            f'  steps of {report["step_time_s"]:g} s need {row["workers_for_step_time"]} worker(s)',
        ]
    return '\n'.join(lines)
