"""What is done of a run, told from its work dir."""

import copy
import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dsr_nss.checkpoints.config_text import parse_config
from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.engine.environment import describe_machine
from dsr_nss.engine.launch import configure_run, latest_checkpoint
from dsr_nss.files import write_json
from dsr_nss.inspection.doctor import weight_files
from dsr_nss.studies.tables.runs import Run

#: What decides how a network trains. Logging, workers and checkpoint intervals do not.
_DECIDING = ('model', 'train_dataloader', 'optim_wrapper', 'param_scheduler', 'randomness')
_LOADING = {'num_workers', 'persistent_workers', 'pin_memory', 'prefetch_factor'}


@dataclass(frozen=True)
class State:
    """How far a run is.

    Attributes:
        total: Its length in iterations.
        done: Finished iterations that a checkpoint holds.
        checkpoint: The newest one; None before the first, or when a finished run's was removed.
        missing: Sets of `Run.test_sets` that it has no scores on.
        problem: Why what lies in the folder cannot be used, or None.
    """

    total: int
    done: int = 0
    checkpoint: Path | None = None
    missing: tuple[str, ...] = ()
    problem: str | None = None

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
    config = run.full_config()
    total = config.train_cfg.max_iters
    missing = tuple(name for name in run.test_sets if read_scores(run, name) is None)
    if not run.folder.is_dir():
        return State(total, missing=missing)
    facts = read_facts(run)
    done, checkpoint, problem = _progress(run, facts)
    if done and problem is None:
        problem = _difference(run, config, facts)
    return State(total, done, checkpoint, missing, problem)


def _progress(run: Run, facts: dict[str, Any]) -> tuple[int, Path | None, str | None]:
    try:
        checkpoint = latest_checkpoint(run.folder)
    except FileNotFoundError as error:
        checkpoint = None
        if 'iterations' not in facts:
            return 0, None, str(error)
    if checkpoint is None:
        return facts.get('iterations', 0), None, None
    number = re.fullmatch(r'iter_(\d+)', checkpoint.stem)
    if number is None:
        return 0, None, f'{checkpoint} is no checkpoint of a run: its name is not iter_N.pth'
    return int(number[1]), checkpoint, None


def _difference(run: Run, config: Config, facts: dict[str, Any]) -> str | None:
    """Why the run in the folder is another one than `run`, or None."""
    remedy = f'move {run.folder} away to train it anew'
    written = run.folder / Path(run.config).name  # the trainer leaves its whole config there
    if not written.is_file():
        return f'{written} is missing, so its settings are unknown: {remedy}'
    fields = _different_fields(
        _trained_settings(written, written.stat().st_mtime_ns), _wanted_settings(run)
    )
    if fields:
        shown = ', '.join(fields[:4]) + (', ...' if len(fields) > 4 else '')
        return f'it was trained with other settings ({shown}): {remedy}'
    if 'data' in facts and facts['data'] != data_facts(config):
        return f'the data have been made anew since it was trained: {remedy}'
    return None


@functools.cache
def _trained_settings(path: Path, modified: int) -> dict[str, Any]:
    # parsed, not run: the folder of a run may come from another machine
    return _deciding(Config(parse_config(path.read_text(encoding='utf-8'), str(path))))


@functools.cache
def _wanted_settings(run: Run) -> dict[str, Any]:
    config = copy.deepcopy(run.full_config())
    configure_run(config, work_dir=str(run.folder), seed=run.seed, amp=run.settings.amp)
    return _deciding(config)


def _deciding(config: Config) -> dict[str, Any]:
    plain = {key: config.get(key) for key in _DECIDING}
    plain['max_iters'] = config.train_cfg.max_iters
    loader = plain['train_dataloader']
    plain['train_dataloader'] = {k: v for k, v in loader.items() if k not in _LOADING}
    return json.loads(json.dumps(plain))  # tuples and lists are the same


def _different_fields(one: Any, other: Any, where: str = '') -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            field
            for key in sorted(one.keys() | other.keys())
            for field in _different_fields(
                one.get(key), other.get(key), f'{where}.{key}' if where else key
            )
        ]
    return [] if one == other else [where]


# ---- what lies beside the checkpoints ------------------------------------------------------------


def read_scores(run: Run, test_set: str) -> dict[str, Any] | None:
    """The flat scores of `tools/test.py` on a set, without the set's name; None before the test."""
    path = run.score_file(test_set)
    if not path.is_file():
        return None
    prefix = f'{test_set}/'
    flat = json.loads(path.read_text(encoding='utf-8'))
    scores = {k.removeprefix(prefix): v for k, v in flat.items() if k.startswith(prefix)}
    return scores if 'mIoU' in scores else None


def read_facts(run: Run) -> dict[str, Any]:
    """What `note_start` and `note_end` wrote."""
    path = run.folder / 'run.json'
    return json.loads(path.read_text(encoding='utf-8')) if path.is_file() else {}


def note_start(run: Run) -> None:
    """Write down which data a new run sees."""
    write_json(run.folder / 'run.json', _start_facts(run))


def note_end(run: Run, checkpoint: Path) -> None:
    """Write down what a finished run was trained with, from its checkpoint; once."""
    facts = read_facts(run)
    if 'iterations' in facts:
        return
    meta = load_checkpoint_file(checkpoint)['meta']
    end = {
        'iterations': meta['iter'],
        'environment': meta.get('environment', {}),
        'machine': describe_machine(),
    }
    write_json(run.folder / 'run.json', {**_start_facts(run), **facts, **end})


def _start_facts(run: Run) -> dict[str, Any]:
    return {'config': run.config, 'seed': run.seed, 'data': data_facts(run.full_config())}


def data_facts(config: Config) -> dict[str, Any]:
    """How the data below the config's roots were made, where they say so (nightscape does)."""
    facts = {}
    for root in data_roots(config.train_dataloader):
        made = Path(root).parent / 'nightscape.json'
        if made.is_file():
            facts[str(made)] = json.loads(made.read_text(encoding='utf-8'))
    return facts


def missing_for_training(run: Run) -> list[str]:
    """Data folders and weight files that the training needs and that are not there."""
    config = run.full_config()
    weights = dict.fromkeys(file for _, file in weight_files(config))
    return [
        *_missing_roots(config.train_dataloader, config.get('val_dataloader')),
        *(file for file in weights if '://' not in file and not Path(file).is_file()),
    ]


def missing_for_test(run: Run, test_set: str) -> list[str]:
    """The same for a test; a set that the config does not have is for `tools/test.py` to report."""
    return _missing_roots(run.full_config().get('test_sets', {}).get(test_set))


def _missing_roots(*parts: Any) -> list[str]:
    roots = dict.fromkeys(root for part in parts for root in data_roots(part))
    return [f'{root}/' for root in roots if not Path(root).is_dir()]


def data_roots(node: Any) -> Iterator[str]:
    """Every `data_root` below a part of a config."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == 'data_root':
                yield str(value)
            else:
                yield from data_roots(value)
