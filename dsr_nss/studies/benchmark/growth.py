"""How a training step grows with the crop, the batch and the memory bank.

One model, built once, takes inputs of all sizes; per case, only the bank is built anew. Of each
dimension, one is varied and the others stay as in the config.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS

from dsr_nss.errors import ConfigError
from dsr_nss.models.segmentors.adaptation import Adaptation
from dsr_nss.studies.benchmark.device import describe_device
from dsr_nss.studies.benchmark.step import build_step, crop_size, random_items
from dsr_nss.studies.benchmark.timing import (
    OUT_OF_MEMORY,
    Timing,
    is_out_of_memory,
    measure,
    peak_memory,
    release_memory,
    time_left,
    time_limit,
)

CROPS = (512, 640, 768, 896, 1024)
BATCHES = (1, 2, 4, 8)
BANKS = (1, 4, 16, 64)
#: Name -> of what the cost would be a multiple, if it grew linearly.
DIMENSIONS = {'crop': 'pixels', 'batch': 'images', 'bank': 'stored images'}


@dataclass(frozen=True)
class Case:
    """One size of a step.

    Attributes:
        crop: Side of the square crops, in pixels.
        batch: Source images in a step, and as many night images.
        bank: Images that the memory bank stores; None without a bank.
    """

    crop: int
    batch: int
    bank: int | None


@dataclass(frozen=True)
class Measured:
    """What a step of one size costs.

    Attributes:
        timing: Times of undisturbed steps.
        peak_memory: Bytes that a step takes beyond what is held between steps.
        bank_memory: Bytes that the bank holds between steps.
    """

    timing: Timing
    peak_memory: int
    bank_memory: int


#: In the place of what could not be measured, as `OUT_OF_MEMORY`.
OUT_OF_TIME = 'not measured: the time was over'


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
        warmup: Steps of each size that are not timed.
        repeats: Steps that are.

    Returns:
        `rows`: dimension -> list of rows in growing order. A row has `crop`, `batch`, `bank` and
        either `failed`, or the fields of `Timing.as_dict()`, `peak_memory` and `bank_memory` in
        bytes, and beside the first row that was measured `work` (how many times its pixels, images
        or stored images), `time_growth`, `memory_growth` (the same of the median and of both
        memories together) and each over `work` as `time_to_linear` and `memory_to_linear`.

    Raises:
        ConfigError: Sizes that are no positive numbers, capacities for a config without a bank, or
            not the config of an adaptation.
    """
    own = _own_case(config)
    if banks is None:
        banks = () if own.bank is None else BANKS
    elif banks and own.bank is None:
        raise ConfigError(f'{config.filename} has no model.bank whose size could grow')
    for name, values in dict(crops=crops, batches=batches, banks=banks).items():
        if any(value < 1 for value in values):
            raise ConfigError(f'growth: {name} must be positive numbers, got {list(values)}')
    cases = {
        'crop': [Case(crop, own.batch, own.bank) for crop in sorted(set(crops))],
        'batch': [Case(own.crop, batch, own.bank) for batch in sorted(set(batches))],
        'bank': [Case(own.crop, own.batch, bank) for bank in sorted(set(banks))],
    }
    distinct = list(dict.fromkeys(case for row in cases.values() for case in row))
    results = _Steps(config, device, amp, warmup, repeats).measure_all(distinct)
    return {
        **describe_device(device),
        'config': str(config.filename),
        'amp': amp,
        'own': vars(own),
        'rows': {name: _rows(name, row, results) for name, row in cases.items() if row},
    }


def _own_case(config: Config) -> Case:
    bank = config.model.get('bank')
    capacity = None if bank is None else bank.get('capacity', 6)
    return Case(max(crop_size(config)), config.train_dataloader.batch_size, capacity)


class _Steps:
    """Steps of one model at several sizes."""

    def __init__(
        self, config: Config, device: torch.device, amp: str | None, warmup: int, repeats: int
    ) -> None:
        self.config, self.device = config, device
        self.warmup, self.repeats = warmup, repeats
        self.model: Adaptation
        self.optim_wrapper: OptimWrapper
        self.model, self.optim_wrapper = build_step(config, device, amp=amp)

    def measure_all(self, cases: Sequence[Case]) -> dict[Case, Measured | str]:
        """Every case, or why not; each has an equal part of what time is left."""
        results: dict[Case, Measured | str] = {}
        for i, case in enumerate(cases):
            if results and time_left() == 0:
                results[case] = OUT_OF_TIME
                continue
            with time_limit(time_left() / (len(cases) - i)):
                results[case] = self._try(case)
            self.optim_wrapper.zero_grad()  # those of a step that broke off
            release_memory(self.device)
        return results

    def _try(self, case: Case) -> Measured | str:
        try:
            return self._measure(case)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        return OUT_OF_MEMORY  # the error is gone, and with it the frames that held the tensors

    def _measure(self, case: Case) -> Measured:
        config = copy.deepcopy(self.config)
        config.train_dataloader.dataset.crop_size = (case.crop, case.crop)
        config.train_dataloader.batch_size = case.batch
        items = random_items(config)
        bank_memory = self._set_bank(case)

        def step() -> None:
            self.model.train_step(items, self.optim_wrapper)

        (timing,) = measure([step], self.device, warmup=self.warmup, repeats=self.repeats)
        return Measured(timing, peak_memory(step, self.device), bank_memory)

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


def _rows(
    dimension: str, cases: Sequence[Case], results: Mapping[Case, Measured | str]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    first: tuple[Case, Measured] | None = None
    for case in cases:
        result = results[case]
        if isinstance(result, str):
            rows.append({**vars(case), 'failed': result})
            continue
        first = first or (case, result)
        work = _work(dimension, case) / _work(dimension, first[0])
        time = result.timing.median / first[1].timing.median
        memory = _memory(result) / _memory(first[1])
        rows.append(
            {
                **vars(case),
                **result.timing.as_dict(),
                'peak_memory': result.peak_memory,
                'bank_memory': result.bank_memory,
                'work': work,
                'time_growth': time,
                'memory_growth': memory,
                'time_to_linear': time / work,
                'memory_to_linear': memory / work,
            }
        )
    return rows


def _work(dimension: str, case: Case) -> float:
    size = getattr(case, dimension)
    return size**2 if dimension == 'crop' else size


def _memory(result: Measured) -> int:
    return result.peak_memory + result.bank_memory


def format_growth(report: Mapping[str, Any]) -> str:
    """The report as text: a table a dimension."""
    own = report['own']
    lines = [
        f'{report["device"]}, {report["threads"]} thread(s), torch {report["torch"]}, '
        f'{report["amp"] or "float32"}, commit {report["commit"]}',
        f'{report["config"]}: crop {own["crop"]}, batch {own["batch"]} + {own["batch"]}'
        + (f', bank of {own["bank"]}' if own['bank'] is not None else ', no bank')
        + '; one of them grows, each row beside the first: growth (growth / linear growth)',
    ]
    for dimension, rows in report['rows'].items():
        lines += [
            '',
            f'{dimension:>6s} {DIMENSIONS[dimension]:>13s} {"step":>32s} {"repeats":>7s} '
            f'{"time":>15s} {"MiB a step":>10s} {"MiB bank":>8s} {"memory":>15s}',
        ]
        lines += [_line(dimension, row) for row in rows]
    return '\n'.join(lines)


def _line(dimension: str, row: Mapping[str, Any]) -> str:
    start = f'{row[dimension]:6d}'
    if 'failed' in row:
        return f'{start} {row["failed"]}'
    low, median, high = (row[f'{name}_s'] for name in ('min', 'median', 'max'))
    span = f'{1000 * median:.1f} ms ({1000 * low:.1f} to {1000 * high:.1f})'
    growth = {
        name: f'{row[f"{name}_growth"]:.2f} ({row[f"{name}_to_linear"]:.2f})'
        for name in ('time', 'memory')
    }
    return (
        f'{start} {row["work"]:12.2f}x {span:>32s} {row["repeats"]:7d} {growth["time"]:>15s} '
        f'{row["peak_memory"] / 2**20:10.0f} {row["bank_memory"] / 2**20:8.1f} '
        f'{growth["memory"]:>15s}'
    )
