"""The trainings behind the tables: which there are, where they lie, and their command lines."""

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.config import Config

from dsr_nss.engine.config import change_config, open_config
from dsr_nss.errors import ConfigError
from dsr_nss.shipped import ROOT
from dsr_nss.studies.tables.rows import Row
from dsr_nss.studies.tables.tables import Table


@dataclass(frozen=True)
class Settings:
    """What all runs of a table have in common.

    Attributes:
        data: One of `tables.DATA`.
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
        parts = (f'{self.max_iters}iters' if self.max_iters else None, self.amp)
        return '-'.join(part for part in parts if part)

    @property
    def folder(self) -> Path:
        """Where the tables go: `out` for the real data, folders below it for everything else."""
        folder = self.out if self.data == 'real' else self.out / self.data
        return folder / self.tag if self.tag else folder


@dataclass(frozen=True)
class Run:
    """One training and its tests; tables share it.

    Attributes:
        row: What is trained.
        seed: Seed of data, weights and steps.
        settings: What the run has in common with all others of its tables.
        test_sets: The sets that the chosen tables need.
    """

    row: Row
    seed: int
    settings: Settings
    test_sets: tuple[str, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """`dsr_hrda_nightscape-seed0`."""
        return f'{self.row.name}_{self.settings.data}-seed{self.seed}'

    @property
    def folder(self) -> Path:
        """The work dir."""
        return self.settings.folder / 'runs' / self.name

    def config(self) -> Config:
        """The config as it trains, but for the seed and mixed precision; not to be modified."""
        row = self.row
        return _read(str(row.config), row.overlays, row.options, self.settings.max_iters)

    def score_file(self, test_set: str) -> Path:
        """Where the scores on a set go."""
        return self.folder / 'scores' / f'{test_set}.json'

    def train_command(self, resume: bool = False) -> list[str]:
        """Arguments after `python`, paths as a user types them in the checkout."""
        length, amp = self.settings.max_iters, self.settings.amp
        return train_command(
            self.row,
            *('--work-dir', str(self.folder), '--seed', str(self.seed)),
            *(('--max-iters', str(length)) if length is not None else ()),
            *(('--amp', amp) if amp else ()),
            *(('--resume',) if resume else ()),
        )

    def test_command(self, checkpoint: Path, test_set: str) -> list[str]:
        """Arguments after `python`."""
        return ['tools/test.py', str(self.row.config), str(checkpoint), '--dataset', test_set,
                '--json', str(self.score_file(test_set)), *_differences(self.row)]  # fmt: skip


def train_command(row: Row, *arguments: str) -> list[str]:
    """What trains a row, with any further arguments."""
    return ['tools/train.py', str(row.config), *arguments, *_differences(row)]


def _differences(row: Row) -> list[str]:
    options = [f'{key}={value!r}' for key, value in row.options]
    return [
        *(('--with', *row.overlays) if row.overlays else ()),
        *(('--cfg-options', *options) if options else ()),
    ]


@functools.cache
def _read(config: str, overlays: tuple[str, ...], options: tuple, length: int | None) -> Config:
    base = copy.deepcopy(_open(located(config)))  # rows share few bases, and reading is slow
    files = [located(overlay) for overlay in overlays]
    return change_config(base, dict(options), overlays=files, max_iters=length)


_open = functools.cache(open_config)


def located(path: str, tools: Path = ROOT) -> str:
    """A path of a command line, from any folder: tools and configs are the checkout's."""
    return str(tools / path) if path.startswith(('tools/', 'configs/')) else path


def plan(tables: Sequence[Table], seeds: Sequence[int], settings: Settings) -> list[Run]:
    """Every training that the tables need, each once, all of a seed before the next seed.

    Args:
        tables: Tables from `tables.table`, or what `tables.choose_rows` left of them.
        seeds: One run of each row for each of them.
        settings: What all runs have in common.

    Raises:
        ConfigError: A seed is negative or given twice.
    """
    if any(seed < 0 for seed in seeds) or len(set(seeds)) < len(seeds):
        given = ' '.join(map(str, seeds))
        raise ConfigError(f'--seeds must be different numbers >= 0, got {given}')
    rows: dict[str, Row] = {}
    sets: dict[str, dict[str, None]] = {}
    for table in tables:
        for row in table.runnable():
            rows.setdefault(row.name, row)
            sets.setdefault(row.name, {}).update({c.test_set: None for c in table.columns})
    return [
        Run(row, seed, settings, tuple(sets[name])) for seed in seeds for name, row in rows.items()
    ]
