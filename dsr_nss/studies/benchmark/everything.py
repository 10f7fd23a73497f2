"""All benchmarks of a config one after the other, each in a process of its own.

A process a part, because a part that runs out of memory, breaks the device's context or takes too
long must not take the others with it, and because each starts with an empty device memory.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dsr_nss.engine.options import Options, option_values
from dsr_nss.errors import ConfigError
from dsr_nss.studies.benchmark.drawn_data import drawn_options, missing_data
from dsr_nss.studies.benchmark.report import PAPER_STEPS
from dsr_nss.studies.benchmark.timing import OUT_OF_MEMORY
from dsr_nss.visualization.text_table import text_table

#: Exit status of a part whose device has too little memory.
EXIT_OUT_OF_MEMORY = 3

#: Parts that time the same step; the summary compares them.
STEPS = ('step, float32', 'step, bf16', 'step, bf16 and compiled')

#: Of its time, a part spends so much on measuring; the rest is for imports, weights, one last step.
_MEASURING = 0.5

#: Of `toy`: the side of crops.
_CROP = 128


@dataclass(frozen=True)
class Part:
    """One command of `tools/benchmark.py`.

    Attributes:
        name: Name that people read.
        arguments: The verb and what follows.
        share: Share of the time, relative to the shares of the other parts.
        pictures: It draws pictures if it gets a folder.
        step_time_of: Name of the part whose step time it wants to know.
        skip: Why it cannot run here; None: it can.
    """

    name: str
    arguments: tuple[str, ...]
    share: float
    pictures: bool = False
    step_time_of: str | None = None
    skip: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a part.

    Attributes:
        status: `'done'`, `'failed'` or `'skipped'`.
        seconds: Time in seconds that it took.
        reason: Reason why it is not done.
        report: Content that the command writes with `--json`.
    """

    status: str
    seconds: float = 0.0
    reason: str | None = None
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def step(self) -> Mapping[str, Any] | None:
        """The one step of its report, if it has one."""
        return next(iter(self.report.get('steps', {}).values()), None)


def plan(
    config: Config,
    *,
    options: Options | None = None,
    device: str | None = None,
    toy: bool = False,
    drawn: Path | None = None,
) -> list[Part]:
    """The parts in their order; the compiled step is the last, because it may take any time.

    Args:
        config: Config of an adaptation training, with `options` applied.
        options: `--cfg-options` for all parts: dotted key -> value, or texts `KEY=VALUE`.
        device: `'cpu'`, `'cuda'` or None: the device option of all parts.
        toy: Sizes so small that a CPU can rehearse everything; their times mean nothing.
        drawn: Folder of drawn scenes that take the place of missing data (`drawn_data.draw`);
            None: without its data, the part `data` is skipped.
    """
    if config.model.get('student') is None:
        raise ConfigError(
            f'{config.filename} is not the config of an adaptation (no model.student)'
        )
    given = {**option_values(options), **(_toy_options(config) if toy else {})}
    where = () if device is None else ('--device', device)

    def command(arguments: str, more: Mapping[str, Any] | None = None) -> tuple[str, ...]:
        verb, *rest = arguments.split()
        repeats = ('--warmup', '1', '--repeats', '1') if toy else ()
        settings = [f'{key}={value}' for key, value in {**given, **(more or {})}.items()]
        tail = ('--cfg-options', *settings) if settings else ()
        return (verb, str(config.filename), *where, *repeats, *rest, *tail)

    growth, size, pair = '--warmup 1 --repeats 5', '1080x1920 --images 4 --amp fp16', '1024x1024'
    compiled: dict[str, Any] = {'+compile': True}
    if toy:
        banks = ' --banks 1 4' if config.model.get('bank') else ''
        growth = f'--crops 128 192 --batches 1 2{banks}'
        # a CPU takes many times as long for fp16 as for float32
        size, pair = '96x160 --images 2', f'{_CROP}x{_CROP}'
        # the tracing alone is rehearsed; making kernels takes a CPU minutes
        compiled = {'+compile.backend': 'aot_eager'}
    without_aligner = without_data = None
    if not (config.model.get('refinement') or {}).get('aligner'):
        without_aligner = 'the config has no model.refinement.aligner'
    if drawn is None and missing_data(config):
        without_data = f'no folder {" and ".join(missing_data(config).values())}'
    data = command('data --stages', {} if drawn is None else drawn_options(config, drawn))
    bf16 = 'step --stages --amp bf16'
    return [
        Part('device', ('device', *where), 25),
        Part(STEPS[0], command('step --stages'), 60, pictures=True),
        Part(STEPS[1], command(bf16), 50, pictures=True),
        Part('growth', command(f'growth --amp bf16 {growth}'), 90),
        Part('align', command(f'align --size {pair}'), 35, skip=without_aligner),
        Part('infer', command(f'infer --stages --size {size}'), 50),
        Part('data', data, 40, step_time_of=STEPS[1], skip=without_data),
        Part(STEPS[2], command(bf16, compiled), 130),
    ]


def _toy_options(config: Config) -> dict[str, Any]:
    size = (_CROP, _CROP)
    options: dict[str, Any] = {
        'train_dataloader.dataset.crop_size': size,
        'train_dataloader.batch_size': 1,
        '+model.student.test_cfg.mode': 'slide',
        '+model.student.test_cfg.crop_size': (64, 64),
        '+model.student.test_cfg.stride': (48, 48),
    }
    if 'size' in (config.model.get('bank') or {}):  # where the file does not state it, it is added
        options['+model.bank.size'] = size
    if config.model.student.backbone.type == 'MiT':
        options['model.student.backbone.arch'] = 'b1'  # as wide as B5, less deep
    return options


def run_parts(
    parts: Sequence[Part], program: Path, *, seconds: float, out: Path | None = None
) -> dict[str, Outcome]:
    """Runs the parts and prints what they print.

    Each part has its share of what time is left and is ended after it, so that all end in time.

    Args:
        parts: The parts, in their order.
        program: `tools/benchmark.py`.
        seconds: Time for all parts together.
        out: Folder for pictures, a folder in it for each part that draws some.

    Returns:
        Name -> what became of it.
    """
    end = time.perf_counter() + seconds
    outcomes: dict[str, Outcome] = {}
    for i, part in enumerate(parts):
        if part.skip is not None:
            print(f'\n=== {part.name}: skipped, {part.skip}', flush=True)
            outcomes[part.name] = Outcome('skipped', reason=part.skip)
            continue
        shares = [other.share for other in parts[i:] if other.skip is None]
        limit = max(1.0, (end - time.perf_counter()) * part.share / sum(shares))
        more = []
        if part.pictures and out is not None:
            more += ['--out', str(out / part.name.replace(', ', '_').replace(' ', '_'))]
        if (timed := outcomes.get(part.step_time_of or '')) and timed.step:
            more += ['--step-time', f'{timed.step["median_s"]:.4f}']
        command = [str(program), *_before_options(part.arguments, more)]
        print(f'\n=== {part.name}, at most {limit:.0f} s: python {shlex.join(command)}', flush=True)
        outcomes[part.name] = outcome = _run(command, limit)
        print(f'--- {part.name}: {outcome.status} after {outcome.seconds:.0f} s', end='')
        print(f', {outcome.reason}' if outcome.reason else '', flush=True)
    return outcomes


def _before_options(arguments: Sequence[str], more: Sequence[str]) -> list[str]:
    """`--cfg-options` takes all that follows it."""
    at = arguments.index('--cfg-options') if '--cfg-options' in arguments else len(arguments)
    return [*arguments[:at], *more, *arguments[at:]]


def _run(command: list[str], limit: float) -> Outcome:
    """One part; its output goes through files, which no process left behind can keep open."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        text, errors, report = (Path(folder) / name for name in ('out', 'err', 'report.json'))
        more = ['--limit', f'{_MEASURING * limit:.1f}', '--json', str(report)]
        with text.open('wb') as stdout, errors.open('wb') as stderr:
            process = subprocess.Popen(
                [sys.executable, *_before_options(command, more)],
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,  # so that its workers can be ended with it
            )
            try:
                status: int | None = process.wait(limit)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                _end(process)
        print(text.read_text(errors='replace'), end='')
        taken = time.perf_counter() - start
        content = json.loads(report.read_text()) if report.is_file() else {}
        tail = errors.read_text(errors='replace').strip().splitlines()
    if status == 0:
        return Outcome('done', taken, report=content)
    reason = tail[-1] if tail else f'exit status {status}'
    if status is None:
        reason = f'ended because its {limit:.0f} s were over'
    elif status == EXIT_OUT_OF_MEMORY:
        reason = OUT_OF_MEMORY
    elif status != 2:  # no explained error, hence a traceback
        print('\n'.join(tail[-15:]))
    return Outcome('failed', taken, reason, content)


def _end(process: subprocess.Popen) -> None:
    """Ends the process, if it still runs, and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def summary(outcomes: Mapping[str, Outcome]) -> str:
    """The steps beside one another, the loader, and what is missing."""
    titles = ['', 's a step', 'x first', 'repeats', 'GiB*', '% of peak', f'h for {PAPER_STEPS}', '']
    first: float | None = None
    rows: list[list[str]] = []
    for name in STEPS:
        outcome = outcomes.get(name, Outcome('skipped'))
        step = outcome.step
        if step is None:
            rows += [[name, outcome.reason]] if outcome.reason else []
            continue
        median = step['median_s']
        first = first or median
        row = [name, f'{median:.3f}', f'{first / median:.2f}', f'{step["repeats"]}']
        row += [f'{step["peak_memory"] / 2**30:.2f}', f'{100 * step["share_of_peak"]:.1f}']
        rows.append([*row, f'{PAPER_STEPS * median / 3600:.2f}'])
    missing = [f'{o.status}: {name}: {o.reason}' for name, o in outcomes.items() if o.reason]
    loaders = _loaders(outcomes.get('data', Outcome('skipped')).report)
    table = text_table(titles, rows, loaders)
    return '\n'.join([table, '* beyond weights and optimiser state', *missing])


def _loaders(report: Mapping[str, Any]) -> list[list[str]]:
    """The loader by itself: a training takes the longer of its time and that of the step."""
    rows = []
    for reader, row in report.get('items', {}).items():
        loader = row['loader']
        seconds = report['batch_size'] / loader['items_per_s']  # a mean: rates add up
        hours = f'{PAPER_STEPS * seconds / 3600:.2f}'
        how = f'{loader["workers"]} worker(s), mean of {loader["batches"]} batches, {reader}'
        rows.append(['loader by itself', f'{seconds:.3f}', '', '', '', '', hours, how])
    return rows
