"""How a training step grows with the crop, the batch and the memory bank.

One model, built once, takes inputs of all sizes; per case, only the bank is built anew. Of each
dimension, one is varied and the others stay as in the config.
"""

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from dsr_nss.errors import ConfigError
from dsr_nss.studies.benchmark.device import heading, machine
from dsr_nss.studies.benchmark.step import build_step, crop_size, random_items
from dsr_nss.studies.benchmark.timing import (
    Row,
    attempt,
    measure,
    peak_memory,
    release_memory,
    span,
    time_left,
    time_limit,
)
from dsr_nss.visualization.text_table import text_table

CROPS = (512, 640, 768, 896, 1024)
BATCHES = (1, 2, 4, 8)
BANKS = (1, 4, 16, 64)
#: Name -> of what the cost would be a multiple, if it grew linearly.
DIMENSIONS = {'crop': 'pixels', 'batch': 'images', 'bank': 'stored images'}
#: In the place of what could not be measured, as `OUT_OF_MEMORY`.
OUT_OF_TIME = 'not measured: the time was over'


class Case(NamedTuple):
    """One size of a step.

    Attributes:
        crop: Side of the square crops, in pixels.
        batch: Source images in a step, and as many night images.
        bank: Images that the memory bank stores; None without a bank.
    """

    crop: int
    batch: int
    bank: int | None


def report_growth(
    config: Config,
    device: torch.device,
    *,
    crops: Sequence[int] = CROPS,
    batches: Sequence[int] = BATCHES,
    banks: Sequence[int] | None = None,
    amp: str | None = None,
    warmup: int = 1,
    repeats: int = 5,
) -> dict[str, Any]:
    """Times steps of growing sizes, on random images and with random weights.

    Every step is one with all parts, see `benchmark_step`, and pastes from the bank (in training,
    every `interval`-th does).

    Args:
        config: Config of an adaptation training.
        device: Device to train on.
        crops: Sides of square crops, in pixels.
        batches: Numbers of source images in a step.
        banks: Capacities of the memory bank; None: `BANKS` where the config has a bank.
        amp: `'bf16'` or `'fp16'`: mixed precision.
        warmup, repeats: Steps of each size that are not timed, and that are.

    Returns:
        `rows`: dimension -> list of rows in growing order. A row has `crop`, `batch`, `bank` and
        either `failed`, or times, `peak_memory` (what a step takes beyond what is held between
        steps) and `bank_memory` in bytes, and beside the first row that was measured `work` (how
        many times its pixels, images or stored images), `time_growth`, `memory_growth` (the same of
        the median and of both memories together) and each over `work` as `time_to_linear` and
        `memory_to_linear`.

    Raises:
        ConfigError: Sizes that are no positive numbers, capacities for a config without a bank, or
            not the config of an adaptation.
    """
    bank = config.model.get('bank')
    capacity = None if bank is None else bank.get('capacity', 6)
    own = Case(max(crop_size(config)), config.train_dataloader.batch_size, capacity)
    if banks is None:
        banks = () if own.bank is None else BANKS
    elif banks and own.bank is None:
        raise ConfigError(f'{config.filename} has no model.bank whose size could grow')
    for name, values in dict(crops=crops, batches=batches, banks=banks).items():
        if any(value < 1 for value in values):
            raise ConfigError(f'growth: {name} must be positive numbers, got {list(values)}')
    sizes = dict(crop=crops, batch=batches, bank=banks)
    cases = {
        name: [own._replace(**{name: value}) for value in sorted(set(values))]
        for name, values in sizes.items()
        if values
    }
    distinct = list(dict.fromkeys(case for row in cases.values() for case in row))
    results = _Steps(config, device, amp, warmup, repeats).measure_all(distinct)
    return {
        **machine(device),
        'config': str(config.filename),
        'amp': amp,
        'own': own._asdict(),
        'rows': {name: _rows(name, row, results) for name, row in cases.items()},
    }


class _Steps:
    """Steps of one model at several sizes."""

    def __init__(
        self, config: Config, device: torch.device, amp: str | None, warmup: int, repeats: int
    ) -> None:
        self.config, self.device = config, device
        self.settings = dict(warmup=warmup, repeats=repeats)
        self.model, self.optim_wrapper = build_step(config, device, amp=amp)

    def measure_all(self, cases: Sequence[Case]) -> dict[Case, Row]:
        """Every case, or why not; each has an equal part of what time is left."""
        results: dict[Case, Row] = {}
        for i, case in enumerate(cases):
            if results and time_left() == 0:
                results[case] = {'failed': OUT_OF_TIME}
                continue
            with time_limit(time_left() / (len(cases) - i)):
                results[case] = attempt(partial(self._measure, case), self.device)
            self.optim_wrapper.zero_grad()  # those of a step that broke off
            release_memory(self.device)
        return results

    def _measure(self, case: Case) -> Row:
        config = copy.deepcopy(self.config)
        config.train_dataloader.dataset.crop_size = (case.crop, case.crop)
        config.train_dataloader.batch_size = case.batch
        items = random_items(config)
        bank_memory = self._set_bank(case)

        def step() -> None:
            self.model.train_step(items, self.optim_wrapper)

        (row,) = measure([step], self.device, **self.settings)
        return {**row, 'peak_memory': peak_memory(step, self.device), 'bank_memory': bank_memory}

    def _set_bank(self, case: Case) -> int:
        """A new bank of the case's sizes, which pastes in every step; its bytes."""
        if case.bank is None:
            return 0
        self.model.bank = None  # the old one goes first
        release_memory(self.device)
        sizes = dict(size=(case.crop, case.crop), capacity=case.bank, interval=1)
        bank = MODELS.build({**self.config.model.bank.to_dict(), **sizes}).to(self.device)
        self.model.bank = bank
        return sum(buffer.numel() * buffer.element_size() for buffer in bank.buffers())


def _rows(dimension: str, cases: Sequence[Case], results: Mapping[Case, Row]) -> list[Row]:
    rows: list[Row] = []
    first: Row | None = None
    for case in cases:
        row = {**case._asdict(), **results[case]}
        rows.append(row)
        if 'failed' in row:
            continue
        first = first or row
        work = row[dimension] / first[dimension]
        row['work'] = work**2 if dimension == 'crop' else work
        row['time_growth'] = row['median_s'] / first['median_s']
        row['memory_growth'] = _memory(row) / _memory(first)
        row['time_to_linear'] = row['time_growth'] / row['work']
        row['memory_to_linear'] = row['memory_growth'] / row['work']
    return rows


def _memory(row: Row) -> int:
    return row['peak_memory'] + row['bank_memory']


def format_growth(report: Mapping[str, Any]) -> str:
    """The report as text: a table a dimension."""
    own = report['own']
    bank = 'no bank' if own['bank'] is None else f'bank of {own["bank"]}'
    lines = [
        heading(report),
        f'{report["config"]}: crop {own["crop"]}, batch {own["batch"]} + {own["batch"]}, {bank}; '
        'one of them grows, each row beside the first: growth (growth / linear growth)',
    ]
    for dimension, rows in report['rows'].items():
        titles = [
            dimension, DIMENSIONS[dimension], 'step', 'repeats', 'time', 'MiB a step', 'MiB bank',
            'memory',
        ]  # fmt: skip
        lines += ['', text_table(titles, [_cells(dimension, row) for row in rows])]
    return '\n'.join(lines)


def _cells(dimension: str, row: Row) -> list[str]:
    if 'failed' in row:
        return [f'{row[dimension]}', '', row['failed']]
    return [
        f'{row[dimension]}',
        f'{row["work"]:.2f}x',
        span(row),
        f'{row["repeats"]}',
        f'{row["time_growth"]:.2f} ({row["time_to_linear"]:.2f})',
        f'{row["peak_memory"] / 2**20:.0f}',
        f'{row["bank_memory"] / 2**20:.1f}',
        f'{row["memory_growth"]:.2f} ({row["memory_to_linear"]:.2f})',
    ]
