"""The trainings behind the tables: which there are, where they lie, and their command lines."""

import functools
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dsr_nss.engine.config import apply_options, read_config
from dsr_nss.errors import ConfigError
from dsr_nss.studies.tables.scaling import scaled_options
from dsr_nss.studies.tables.tables import Table

#: The checkout, whose `configs/` and `tools/` the command lines name.
ROOT = Path(__file__).resolve().parents[3]


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
        config: Config file below the checkout.
        seed: Seed of data, weights and steps.
        settings: What the run has in common with all others of its tables.
        test_sets: The sets that the chosen tables need.
    """

    config: str
    seed: int
    settings: Settings
    test_sets: tuple[str, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """`dsr_hrda_nightscape-seed0`."""
        return f'{Path(self.config).stem}-seed{self.seed}'

    @property
    def folder(self) -> Path:
        """The work dir."""
        return self.settings.folder / 'runs' / self.name

    def options(self) -> dict[str, Any]:
        """The `--cfg-options` of the training."""
        if self.settings.max_iters is None:
            return {}
        return scaled_options(_read(self.config, None), self.settings.max_iters)

    def full_config(self) -> Config:
        """The config as it trains, but for the seed and mixed precision; not to be modified."""
        return _read(self.config, self.settings.max_iters)

    def score_file(self, test_set: str) -> Path:
        """Where the scores on a set go."""
        return self.folder / 'scores' / f'{test_set}.json'

    def train_command(self, resume: bool = False) -> list[str]:
        """Arguments after `python`, paths as a user types them in the checkout."""
        command = ['tools/train.py', self.config, '--work-dir', str(self.folder),
                   '--seed', str(self.seed)]  # fmt: skip
        if self.settings.amp:
            command += ['--amp', self.settings.amp]
        if resume:
            command += ['--resume', 'auto']
        options = self.options()
        if options:
            command += ['--cfg-options', *(f'{key}={value!r}' for key, value in options.items())]
        return command

    def test_command(self, checkpoint: Path, test_set: str) -> list[str]:
        """Arguments after `python`."""
        return ['tools/test.py', self.config, str(checkpoint), '--dataset', test_set,
                '--json', str(self.score_file(test_set))]  # fmt: skip


@functools.cache
def _read(config: str, max_iters: int | None) -> Config:
    read = read_config(ROOT / config)
    if max_iters is not None:
        apply_options(read, scaled_options(read, max_iters))
    return read


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
    test_sets: dict[str, dict[str, None]] = {}
    for table in tables:
        for row in table.runnable():
            assert row.config is not None
            test_sets.setdefault(row.config, {}).update(
                dict.fromkeys(column.test_set for column in table.columns)
            )
    return [
        Run(config, seed, settings, tuple(sets))
        for seed in seeds
        for config, sets in test_sets.items()
    ]


def shown(command: Sequence[str]) -> str:
    """A command line to copy."""
    return 'python ' + shlex.join(command)


def check_checkout() -> None:
    """The tools and configs are part of the checkout, not of the installed package.

    Raises:
        ConfigError: This package lies elsewhere.
    """
    missing = [name for name in ('tools', 'configs') if not (ROOT / name).is_dir()]
    if missing:
        raise ConfigError(
            f'{ROOT} has no {" and no ".join(missing)}: run this from a checkout with '
            '`pip install -e .`'
        )
