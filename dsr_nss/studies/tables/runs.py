"""The runs behind the tables: which there are, their command lines, and how far each is."""

import copy
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dsr_nss.checkpoints.comparison import printable
from dsr_nss.checkpoints.config_data import parse_config
from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.checkpoints.writing import content_digest
from dsr_nss.engine.components import components
from dsr_nss.engine.config import change_config, open_config
from dsr_nss.engine.config_changes import DECIDING, config_changes
from dsr_nss.engine.environment import describe_machine
from dsr_nss.engine.launch import configure_run
from dsr_nss.engine.resume_points import latest_checkpoint
from dsr_nss.engine.run_info import read_starts
from dsr_nss.engine.start import read_start
from dsr_nss.errors import ConfigError
from dsr_nss.evaluation.report import MATRICES
from dsr_nss.files import write_json
from dsr_nss.inference.adapt_batch_norm import BATCH_NORMS
from dsr_nss.inference.load import network_state
from dsr_nss.nightscape.generate import INFO_NAME
from dsr_nss.shipped import ROOT
from dsr_nss.studies.tables.table import Column, Row, Table

#: What of a config tells one run from another.
_TOLD = (*DECIDING, 'load_from', 'resume')


@dataclass(frozen=True)
class Settings:
    """What all runs of a table have in common.

    Attributes:
        data: One of `DATA`, or '' for whatever the configs say.
        out: Folder of everything that is written.
        max_iters: Length of each run; None: as its config says.
        amp: `bf16`, `fp16` or None.
    """

    data: str
    out: Path = Path('work_dirs/reproduce')
    max_iters: int | None = None
    amp: str | None = None

    @property
    def tag(self) -> str:
        """What a table of these settings must not be mixed with, e.g. `100iters-bf16`; or ''."""
        parts = (f'{self.max_iters}iters' if self.max_iters else '', self.amp)
        return '-'.join(filter(None, parts))

    @property
    def folder(self) -> Path:
        """Where the tables go: `out`, folders below it for small data, lengths and precisions."""
        return self.out / self.data.replace('real', '') / self.tag

    @property
    def arguments(self) -> list[str]:
        """What says so on a command line, but for data and folder."""
        length = ['--max-iters', str(self.max_iters)] if self.max_iters is not None else []
        return length + (['--amp', self.amp] if self.amp else [])


@dataclass(frozen=True)
class Run:
    """One training and its tests; tables share it.

    Attributes:
        row: What is trained.
        seed: Seed of data, weights and steps.
        settings: What the run has in common with all others of its tables.
        columns: What the chosen tables measure of it.
    """

    row: Row
    seed: int
    settings: Settings
    columns: tuple[Column, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """`dsr_hrda_nightscape-seed0`."""
        return '_'.join(filter(None, (self.row.name, self.settings.data))) + f'-seed{self.seed}'

    @property
    def folder(self) -> Path:
        """The work dir."""
        there = dict(self.row.folders).get(self.seed)
        return Path(there) if there else self.settings.folder / 'runs' / self.name

    def config(self) -> Config:
        """The config as it trains, but for the seed and mixed precision; not to be modified."""
        row = self.row
        if row.folders:
            return trained_config(self.folder)[1]
        return _read(str(row.config), row.overlays, row.options, self.settings.max_iters)

    def score_file(self, column: Column) -> Path:
        """Where the scores of a column go."""
        return self.folder / 'scores' / f'{column.key}.json'

    def train_command(self, resume: bool = False) -> list[str]:
        """Arguments after `python`, paths as a user types them in the checkout."""
        place = ('--work-dir', str(self.folder), '--seed', str(self.seed))
        again = ('--resume',) if resume else ()
        return self.row.command('train', *place, *self.settings.arguments, *again)

    def test_command(self, checkpoint: Path, column: Column) -> list[str]:
        """Arguments after `python`."""
        to = ('--dataset', column.test_set, '--json', str(self.score_file(column)))
        norms = () if column.batch_norms == 'plain' else ('--batch-norms', column.batch_norms)
        report, predictions = (str(self.folder / n / column.key) for n in ('report', 'predictions'))
        more = ('--report', report, '--out', predictions) if column.detailed else ()
        return self.row.command('test', str(checkpoint), *to, *norms, *more)


@functools.cache
def _read(config: str, overlays: tuple[str, ...], options: tuple, length: int | None) -> Config:
    base = copy.deepcopy(_open(located(config)))  # rows share few bases, and reading is slow
    files = [located(overlay) for overlay in overlays]
    return change_config(base, dict(options), overlays=files, max_iters=length)


_open = functools.cache(open_config)


def located(path: str, tools: Path = ROOT) -> str:
    """A path of a command line, from any folder: tools are the checkout's, and so are configs."""
    theirs = path.startswith('configs/') and not Path(path).exists()
    return str(tools / path) if theirs or path.startswith('tools/') else path


def plan(
    rows: Sequence[tuple[Table, Row]], seeds: Sequence[int] | None, settings: Settings
) -> list[Run]:
    """Every run that the tables need, each once, all of a seed before the next seed.

    Args:
        rows: What `choose_rows` returned.
        seeds: One run of each row for each of them; None: those of its table, or 0, 1 and 2. Rows
            of runs that are there have their own.
        settings: What all runs have in common.

    Raises:
        ConfigError: A seed is negative, given twice, or none of a table's.
    """
    for table, _ in rows:
        _check_seeds(seeds or (), table)
    runs: dict[str, Run] = {}
    for table, row in rows:
        for seed in dict(row.folders) or seeds or table.seeds or (0, 1, 2):
            run = Run(row, seed, settings)
            run = runs.get(run.name, run)
            # the last one of a key counts: a detailed one measures what the other does, and more
            both = sorted((*run.columns, *table.columns), key=attrgetter('detailed'))
            columns = {column.key: column for column in both}
            runs[run.name] = replace(run, columns=tuple(columns.values()))
    return sorted(runs.values(), key=lambda run: run.seed)


def _check_seeds(seeds: Sequence[int], table: Table) -> None:
    given = ' '.join(map(str, seeds))
    for name, numbers in (('--seeds', seeds), (f'the seeds of {table.name}', table.seeds)):
        if any(seed < 0 for seed in numbers) or len(set(numbers)) < len(numbers):
            got = ' '.join(map(str, numbers))
            raise ConfigError(f'{name} must be different numbers >= 0, got {got}')
    if table.seeds and not set(seeds) <= set(table.seeds):
        known = ', '.join(map(str, table.seeds))
        raise ConfigError(f'the table {table.name} is of the seeds {known}, got --seeds {given}')


# ---- how far a run is ----------------------------------------------------------------------------


@dataclass(frozen=True)
class State:
    """How far a run is, told from its work dir.

    Attributes:
        total: Its length in iterations.
        done: Finished iterations that a checkpoint holds.
        checkpoint: The newest one; None before the first, or when a finished run's was removed.
        missing: Columns that it has no scores for.
        problem: Why what lies in the folder cannot be used, or None.
    """

    total: int
    done: int
    checkpoint: Path | None
    missing: tuple[Column, ...]
    problem: str | None

    @property
    def trained(self) -> bool:
        """Whether the training is finished."""
        return self.done >= self.total

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.problem is None and self.trained and not self.missing


def inspect(run: Run) -> State:
    """Read the work dir of a run; writes nothing."""
    facts, checkpoint, config = read_facts(run), latest_checkpoint(run.folder), run.config()
    done = facts.get('iterations', 0) if checkpoint is None else _iteration(checkpoint)

    def measurable(column: Column) -> bool:
        """Whether there are batch norms, and the images that their statistics are of."""
        images = BATCH_NORMS[column.batch_norms]
        training = (config.get('train_dataloader') or {}).get('dataset') or {}
        named = images is None or training.get(images)
        return bool(named and (images is None or facts.get('batch_norms', True)))

    missing = [c for c in run.columns if measurable(c) and not is_measured(run, c, checkpoint)]
    if run.row.folders:  # it is compared as it is
        return State(done, done, checkpoint, tuple(missing), None)
    problem = _difference(run, facts) if done else None
    return State(config.train_cfg.max_iters, done, checkpoint, tuple(missing), problem)


def is_measured(run: Run, column: Column, checkpoint: Path | None) -> bool:
    """Whether the scores of a column are there, with its details as long as they can be had."""
    scores = read_scores(run, column)
    if scores is None or checkpoint is None or not column.detailed:
        return scores is not None
    report = run.folder / 'report' / column.key / column.test_set
    return 'boundary_IoU' in scores and (report / MATRICES).is_file()


def _difference(run: Run, facts: Mapping[str, Any]) -> str | None:
    """Why the run in the folder is another one than `run`, or None."""
    wanted, reason = copy.deepcopy(run.config()), None
    configure_run(wanted, work_dir=str(run.folder), seed=run.seed, amp=run.settings.amp)
    try:
        changes = run_changes(*(
            json.loads(json.dumps({key: config.get(key) for key in _TOLD}))  # tuples are lists
            for config in (trained_config(run.folder)[1], wanted)
        ))  # fmt: skip
        if changes:
            some = ', '.join(changes[:4]) + (', ...' if len(changes) > 4 else '')
            reason = f'it was trained with other settings ({some})'
        elif 'data' in facts and _made_anew(facts['data'], data_facts(wanted)):
            reason = 'the data have been made anew since it was trained'
        elif other := _replaced(facts.get('starts', {}), start_facts(wanted)):
            reason = f'it started from another file of the name {other}'
    except ConfigError as error:
        reason = str(error)
    return reason and f'{reason}: move {run.folder} away to train it anew'


def _made_anew(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the data that are there are others than those of a run.

    Absent data are not: tables of finished runs need none.
    """
    there = [path for path in {**then, **now} if Path(path).parent.is_dir()]
    return any(then.get(path) != now.get(path) for path in there)


def run_changes(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """`config_changes` of two runs, and where they started from.

    That of a resumed run is unknown: its config names what it was resumed from.
    """
    starts = [config.get('load_from') for config in (first, second)]
    resumed = first.get('resume') or second.get('resume')
    told = [] if resumed or starts[0] == starts[1] else [f'load_from: {starts[0]} -> {starts[1]}']
    return [*config_changes(first, second), *told]


def trained_config(folder: Path) -> tuple[Path, Config]:
    """The whole config that a trainer left in its work dir, and its content.

    Raises:
        ConfigError: There is none, or it is more than plain data.
    """
    written = sorted(folder.glob('*.py'), key=lambda path: path.stat().st_mtime)
    if not written:
        raise ConfigError(f'{folder} holds no config, so its settings are unknown')
    return written[-1], _parsed(written[-1], written[-1].stat().st_mtime_ns)


@functools.cache
def _parsed(path: Path, modified: int) -> Config:
    # parsed, not run: the folder of a run may come from another machine
    return Config(parse_config(path.read_text(encoding='utf-8'), str(path)))


def _iteration(checkpoint: Path) -> int:
    return int(checkpoint.stem.removeprefix('iter_'))


def read_scores(run: Run, column: Column) -> dict[str, Any] | None:
    """The flat scores of `tools/test.py`, without the set's name; None before the test.

    Those of another checkpoint than the newest are none: the run went on since then, or the file
    was replaced.
    """
    flat, newest = _read_json(run.score_file(column)), latest_checkpoint(run.folder)
    if newest is not None and Path(flat.get('checkpoint', newest)).name != newest.name:
        return None
    if newest is not None and flat.get('content', _digest(newest)) != _digest(newest):
        return None
    start = f'{column.test_set}/'
    scores = {k.removeprefix(start): v for k, v in flat.items() if k.startswith(start)}
    return scores if 'mIoU' in scores else None


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding='utf-8')) if path.is_file() else {}


def read_facts(run: Run) -> dict[str, Any]:
    """What `note` wrote."""
    return _read_json(run.folder / 'run.json')


def note(run: Run, checkpoint: Path | None = None) -> None:
    """Write down which data a run sees, and what it was trained with when it is finished."""
    facts = read_facts(run)
    new = {'seed': run.seed, 'data': data_facts(run.config())}
    # before its first checkpoint nothing was trained on what an earlier try saw
    begun = 'iterations' in facts or latest_checkpoint(run.folder)
    new |= facts if begun else {'starts': start_facts(run.config())}
    if checkpoint is not None and facts.get('content') != _digest(checkpoint):
        content = load_checkpoint_file(checkpoint)
        student = network_state(content, 'student', checkpoint)  # an aligner may have some as well
        meta = content.get('meta', {})
        new |= {
            'batch_norms': any(name.endswith('running_mean') for name in student),
            'environment': meta.get('environment', {}),
            'iterations': _iteration(checkpoint),
            'content': _digest(checkpoint),
            'network': _network(meta),
        }
        if 'machine' not in facts and (machine := _machine(run)):
            new['machine'] = machine
    if new != facts:
        write_json(run.folder / 'run.json', new)


def _network(meta: Mapping[str, Any]) -> str | None:
    """What a converted network is, for the caption; None of a training's own checkpoint."""
    provenance = meta.get('provenance')
    if not isinstance(provenance, Mapping):
        return None
    return ' of '.join(printable(str(provenance.get(key, '?'))) for key in ('model', 'source'))


def _machine(run: Run) -> str | None:
    """What a run was trained on: this machine, or the one that a named folder tells of."""
    if not run.row.folders:
        return describe_machine()
    starts = read_starts(dict(run.row.folders)[run.seed])
    said = starts[-1].get('machine') if starts else None
    return said if isinstance(said, str) else None


def data_facts(config: Config) -> dict[str, Any]:
    """How the data below the config's roots were made, where they say so (nightscape does)."""
    training = config.get('train_dataloader')  # a converted checkpoint has none
    roots = [part['data_root'] for _, part in components(training) if 'data_root' in part]
    made = {Path(root).parent / INFO_NAME for root in roots}
    return {str(path): _read_json(path) for path in sorted(made) if path.is_file()}


def start_facts(config: Config) -> dict[str, str]:
    """`content_digest` of the files on disk that a training starts from, by name."""
    parts = [part.get('init_cfg') or {} for _, part in components(config.get('model'))]
    named = [init.get('checkpoint') for init in parts if isinstance(init, Mapping)]
    named += [read_start(config.load_from).checkpoint] if config.get('load_from') else []
    files = {name for name in named if isinstance(name, str) and Path(name).is_file()}
    return {name: _digest(Path(name)) for name in sorted(files)}


def _replaced(then: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """The first file that is another one now; one that is gone is not."""
    return next((name for name in now if then.get(name, now[name]) != now[name]), None)


def _digest(path: Path) -> str:
    return _content_digest(path, path.stat().st_mtime_ns)


@functools.cache
def _content_digest(path: Path, modified: int) -> str:
    return content_digest(path)
