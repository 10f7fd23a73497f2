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
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from dsr_nss.engine.options import Options, option_values
from dsr_nss.errors import ConfigError
from dsr_nss.nightscape import Settings, generate, parse_size
from dsr_nss.studies.benchmark.step import COLUMNS, FOOTNOTE
from dsr_nss.studies.benchmark.timing import Row, number, table

#: Exit status of a part whose device has too little memory.
EXIT_OUT_OF_MEMORY = 3
#: Parts that time the same step; the summary compares them.
STEPS = ('step, float32', 'step, bf16', 'step, bf16 and compiled')
#: Of its time, a part spends so much on measuring; the rest is for imports, weights, one last step.
_MEASURING = 0.5
#: Of `toy`: the side of crops.
_CROP = 128
#: Data set type -> its folder in a drawn set.
_DRAWN = {'Cityscapes': 'cityscapes', 'DarkZurich': 'dark_zurich', 'ACDC': 'acdc'}
#: Source scenes; as many as fit into a few seconds and into a file cache, as repeated epochs do.
_SCENES = 8


class Part(NamedTuple):
    """One command of `tools/benchmark.py`: the verb and what follows.

    `share` is its share of the time, relative to the other parts'; `skip` says why it cannot run.
    """

    name: str
    arguments: tuple[str, ...]
    share: float
    skip: str | None = None


class Outcome(NamedTuple):
    """What became of a part: `'done'`, `'failed'` or `'skipped'`, and why.

    `report` is what the command writes with `--json`.
    """

    status: str
    seconds: float = 0.0
    reason: str | None = None
    report: Mapping[str, Any] = {}

    @property
    def step(self) -> Row | None:
        """The one step of the report, if it has one."""
        return next(iter(self.report.get('steps', {}).values()), None)


_NOTHING = Outcome('skipped')


def missing_data(config: Config) -> dict[str, str]:
    """`'source'`, `'target'` -> folder of a training's data that is not here."""
    dataset = config.train_dataloader.dataset
    roots = {kind: (dataset.get(kind) or {}).get('data_root') for kind in ('source', 'target')}
    return {kind: root for kind, root in roots.items() if root and not Path(root).is_dir()}


def draw_missing(config: Config, folder: Path, size: str) -> dict[str, str] | None:
    """Draws street scenes in the place of data sets that are not here, to time a loader with.

    They have the `size` `'HxW'`, or that of the real sets (`'full'`).

    Returns:
        Config options that name the drawn data; None where a data set has a layout of its own.
    """
    dataset, missing = config.train_dataloader.dataset, missing_data(config)
    if not all(dataset[kind].type in _DRAWN for kind in missing):
        return None
    if missing:
        print(
            f'no folder {" and ".join(missing.values())}: the part data reads drawn scenes instead'
        )
        generate(folder, Settings(_SCENES, 0, *parse_size(size)), show_progress=False)
    return {
        f'train_dataloader.dataset.{kind}.data_root': str(folder / _DRAWN[dataset[kind].type])
        for kind in missing
    }


def plan(
    config: Config,
    *,
    options: Options | None = None,
    device: str | None = None,
    toy: bool = False,
    drawn: Mapping[str, str] | None = None,
) -> list[Part]:
    """The parts in their order; the compiled step is the last, because it may take any time.

    `options` are applied to `config` and given to all parts; `drawn`, from `draw_missing`, goes to
    the part `data` alone, which is skipped where its data are neither there nor drawn.
    """
    if config.model.get('student') is None:
        raise ConfigError(
            f'{config.filename} is not the config of an adaptation (no model.student)'
        )
    given = {**option_values(options), **(_toy_options(config) if toy else {})}
    where = () if device is None else ('--device', device)

    def part(
        name: str, share: float, words: str, more: Mapping | None = None, skip: str | None = None
    ) -> Part:
        verb, *rest = words.split()
        repeats = ('--warmup', '1', '--repeats', '1') if toy else ()
        settings = [f'{key}={value}' for key, value in {**given, **(more or {})}.items()]
        tail = ('--cfg-options', *settings) if settings else ()
        return Part(name, (verb, str(config.filename), *where, *repeats, *rest, *tail), share, skip)

    growth, size, pair = '--warmup 1 --repeats 5', '1080x1920 --images 4 --amp fp16', '1024x1024'
    if toy:
        growth = '--crops 128 192 --batches 1 2'
        growth += ' --banks 1 4' if config.model.get('bank') else ''
        # a CPU takes many times as long for fp16 as for float32
        size, pair = '96x160 --images 2', f'{_CROP}x{_CROP}'
    # of `toy`, the tracing alone is rehearsed; making kernels takes a CPU minutes
    compiled: dict[str, Any] = {'+compile.backend': 'aot_eager'} if toy else {'+compile': True}
    without_aligner = without_data = None
    if not (config.model.get('refinement') or {}).get('aligner'):
        without_aligner = 'the config has no model.refinement.aligner'
    if not drawn and missing_data(config):
        without_data = f'no folder {" and ".join(missing_data(config).values())}'
    return [
        Part('device', ('device', *where), 25),
        part(STEPS[0], 60, 'step --stages'),
        part(STEPS[1], 50, 'step --stages --amp bf16'),
        part('growth', 90, f'growth --amp bf16 {growth}'),
        part('align', 35, f'align --size {pair}', skip=without_aligner),
        part('infer', 50, f'infer --stages --size {size}'),
        part('data', 40, 'data --stages', drawn, without_data),
        part(STEPS[2], 130, 'step --stages --amp bf16', compiled),
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

    Each part has its share of what is left of `seconds` and is ended after it, so that all end in
    time. `program` is `tools/benchmark.py`; the part `data` learns how long the step in half
    precision takes, and those that time steps draw pictures into a folder of `out`.
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
        verb, more = part.arguments[0], []
        if verb == 'step' and out is not None:
            more = ['--out', str(out / part.name.replace(', ', '_').replace(' ', '_'))]
        if verb == 'data' and (step := outcomes.get(STEPS[1], _NOTHING).step):
            more = ['--step-time', f'{step["median_s"]:.4f}']
        command = [str(program), *part.arguments, *more]
        print(f'\n=== {part.name}, at most {limit:.0f} s: python {shlex.join(command)}', flush=True)
        outcomes[part.name] = outcome = _run(command, limit)
        print(f'--- {part.name}: {outcome.status} after {outcome.seconds:.0f} s', end='')
        print(f', {outcome.reason}' if outcome.reason else '', flush=True)
    return outcomes


def _run(command: list[str], limit: float) -> Outcome:
    """One part; its output goes through files, which no process left behind can keep open."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        text, errors, report = (Path(folder) / name for name in ('out', 'err', 'report.json'))
        more = ['--limit', f'{_MEASURING * limit:.1f}', '--json', str(report)]
        with text.open('wb') as stdout, errors.open('wb') as stderr:
            # a session of its own, so that its workers can be ended with it
            pipes: dict[str, Any] = dict(stdout=stdout, stderr=stderr, start_new_session=True)
            process = subprocess.Popen([sys.executable, *command, *more], **pipes)
            try:
                status: int | None = process.wait(limit)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
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
        reason = 'out of memory'
    elif status != 2:  # no explained error, hence a traceback
        print('\n'.join(tail[-15:]))
    return Outcome('failed', taken, reason, content)


def summary(outcomes: Mapping[str, Outcome]) -> str:
    """The steps beside one another, the loader, and what is missing."""
    steps = {name: step for name in STEPS if (step := outcomes.get(name, _NOTHING).step)}
    for step in steps.values():
        step['times_first'] = next(iter(steps.values()))['median_s'] / step['median_s']
    # a training takes the longer of the loader's time by itself and that of the step
    items = outcomes.get('data', _NOTHING).report.get('items', {})
    loaders = {
        f'loader by itself, mean, {name}': {**item['loader'], 'median_s': item['loader']['mean_s']}
        for name, item in items.items()
    }
    missing = [f'{o.status}: {name}: {o.reason}' for name, o in outcomes.items() if o.reason]
    columns = {**COLUMNS, 'workers': number('workers', '.0f')}
    return '\n'.join([table('', columns, steps, loaders), FOOTNOTE, *missing])
