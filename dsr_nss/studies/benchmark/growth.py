"""How a training step grows with the crop, the batch and the memory bank.

One model, built once, takes inputs of all sizes; per case, only the bank is built anew. Of each
dimension, one is varied and the others stay as in the config.
"""

import copy
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS

from dsr_nss.errors import ConfigError
from dsr_nss.models.segmentors.adaptation import Adaptation
from dsr_nss.studies.benchmark.step import build_step, crop_size, random_items
from dsr_nss.studies.benchmark.timing import (
    COSTS,
    Report,
    Row,
    Turns,
    attempt,
    number,
    peak_memory,
    release_memory,
)

#: Capacities of the memory bank, where none are named.
BANKS = (1, 4, 16, 64)
#: In the place of what could not be measured.
OUT_OF_TIME = {'failed': 'not measured: the time was over'}
COLUMNS = {
    'grows': number('work'),
    **COSTS,
    'MiB of the bank': number('bank_memory', '.1f', 2**-20),
    'time grows': number('time_growth'),
    '/ linear': number('time_to_linear'),
    'memory grows': number('memory_growth'),
    ' / linear': number('memory_to_linear'),
}


class Case(NamedTuple):
    """One size of a step: side of the square crops, source images, and images that are stored."""

    crop: int
    batch: int
    bank: int | None


def benchmark_growth(
    config: Config,
    turns: Turns,
    *,
    crops: Sequence[int],
    batches: Sequence[int],
    banks: Sequence[int] | None = None,
    amp: str | None = None,
) -> Report:
    """Times steps of growing sizes, which all paste from the bank (in training, some do).

    Returns:
        `rows`: dimension -> list of rows in growing order, with bytes that a step takes beyond what
        is held between steps and those of the bank; beside the first row that was measured stand
        `work` (how many times its pixels, images or stored images), the growth of the median time
        and of both memories together, and each over `work`: 1 where growth is linear.

    Raises:
        ConfigError: Sizes that are no positive numbers, capacities for a config without a bank, or
            not the config of an adaptation.
    """
    bank = config.model.get('bank')
    if banks and bank is None:
        raise ConfigError(f'{config.filename} has no model.bank whose size could grow')
    if banks is None:
        banks = () if bank is None else BANKS
    capacity = None if bank is None else bank.get('capacity', 6)
    own = Case(max(crop_size(config)), config.train_dataloader.batch_size, capacity)
    cases: dict[str, list[Case]] = {}
    for name, values in zip(Case._fields, (crops, batches, banks), strict=True):
        if any(value < 1 for value in values):
            raise ConfigError(f'growth: each {name} must be a positive number, got {list(values)}')
        cases[name] = [own._replace(**{name: value}) for value in sorted(set(values))]
    distinct = list(dict.fromkeys(case for listed in cases.values() for case in listed))
    costs = dict(zip(distinct, _costs(distinct, config, turns, amp), strict=True))
    rows = {
        name: _compared(name, [{**case._asdict(), **costs[case]} for case in listed])
        for name, listed in cases.items()
        if listed
    }
    facts = {'config': str(config.filename), 'own': own._asdict(), 'rows': rows}
    report = Report(turns.device, amp=amp, **facts)
    stored = 'no bank' if bank is None else f'bank of {own.bank}'
    each = f'crop {own.crop}, batch {own.batch} + {own.batch}, {stored}'
    report.say(f'{config.filename}: {each}; one of them grows')
    for name, listed in rows.items():
        report.table(name, COLUMNS, {f'{row[name]}': row for row in listed})
    return report


def _costs(cases: Sequence[Case], config: Config, turns: Turns, amp: str | None) -> list[Row]:
    """Of every case, or why not; each has an equal part of what time is left."""
    model, optim_wrapper = build_step(config, turns.device, amp=amp)
    rows: list[Row] = []
    for case in cases:
        if rows and turns.seconds_left == 0:
            rows.append(OUT_OF_TIME)
            continue
        end = time.perf_counter() + turns.seconds_left / (len(cases) - len(rows))
        work = partial(_measure, case, config, model, optim_wrapper, turns._replace(end=end))
        rows.append(attempt(work, turns.device))
        optim_wrapper.zero_grad()  # those of a step that broke off
        release_memory(turns.device)
    return rows


def _measure(
    case: Case, config: Config, model: Adaptation, optim_wrapper: OptimWrapper, turns: Turns
) -> Row:
    config = copy.deepcopy(config)
    config.train_dataloader.dataset.crop_size = (case.crop, case.crop)
    config.train_dataloader.batch_size = case.batch
    bank_memory = 0
    if case.bank is not None:
        model.bank = None  # the old one goes first
        release_memory(turns.device)
        sizes = dict(size=(case.crop, case.crop), capacity=case.bank, interval=1)
        model.bank = MODELS.build({**config.model.bank.to_dict(), **sizes}).to(turns.device)
        bank_memory = sum(buffer.nbytes for buffer in model.bank.buffers())
    step = partial(model.train_step, random_items(config), optim_wrapper)
    row = turns.row(step)
    return {**row, 'peak_memory': peak_memory(step, turns.device), 'bank_memory': bank_memory}


def _compared(dimension: str, rows: list[Row]) -> list[Row]:
    """The rows, each with what it is beside the first that was measured."""
    measured = [row for row in rows if 'failed' not in row]
    for row in measured:
        work = row[dimension] / measured[0][dimension]
        row['work'] = work**2 if dimension == 'crop' else work
        memory, first = (r['peak_memory'] + r['bank_memory'] for r in (row, measured[0]))
        row['memory_growth'] = memory / first
        row['time_growth'] = row['median_s'] / measured[0]['median_s']
        for kind in ('time', 'memory'):
            row[f'{kind}_to_linear'] = row[f'{kind}_growth'] / row['work']
    return rows
