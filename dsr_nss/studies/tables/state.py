"""What is done of a run, told from its work dir."""

import copy
import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dsr_nss.checkpoints.config_data import parse_config
from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.engine.environment import describe_machine
from dsr_nss.engine.launch import configure_run
from dsr_nss.engine.resume_points import latest_checkpoint
from dsr_nss.files import write_json
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
    total = run.config().train_cfg.max_iters
    missing = tuple(name for name in run.test_sets if read_scores(run, name) is None)
    done, checkpoint = read_facts(run).get('iterations', 0), latest_checkpoint(run.folder)
    if checkpoint is not None:
        done = int(checkpoint.stem.removeprefix('iter_'))
    return State(total, done, checkpoint, missing, _difference(run) if done else None)


def _difference(run: Run) -> str | None:
    """Why the run in the folder is another one than `run`, or None."""
    remedy = f'move {run.folder} away to train it anew'
    written = sorted(run.folder.glob('*.py'), key=lambda path: path.stat().st_mtime)
    if not written:  # the trainer leaves its whole config there
        return f'{run.folder} holds no config, so its settings are unknown: {remedy}'
    trained = _trained(written[-1], written[-1].stat().st_mtime_ns)
    fields = list(_different_fields(trained, _wanted(run)))
    if fields:
        shown = ', '.join(fields[:4]) + (', ...' if len(fields) > 4 else '')
        return f'it was trained with other settings ({shown}): {remedy}'
    facts = read_facts(run)
    if 'data' in facts and facts['data'] != data_facts(run.config()):
        return f'the data have been made anew since it was trained: {remedy}'
    return None


@functools.cache
def _trained(path: Path, modified: int) -> dict[str, Any]:
    # parsed, not run: the folder of a run may come from another machine
    return _deciding(Config(parse_config(path.read_text(encoding='utf-8'), str(path))))


@functools.cache
def _wanted(run: Run) -> dict[str, Any]:
    config = copy.deepcopy(run.config())
    configure_run(config, work_dir=str(run.folder), seed=run.seed, amp=run.settings.amp)
    return _deciding(config)


def _deciding(config: Config) -> dict[str, Any]:
    plain = {key: config.get(key) for key in _DECIDING}
    plain['max_iters'] = config.train_cfg.max_iters
    loader = config.train_dataloader
    plain['train_dataloader'] = {k: v for k, v in loader.items() if k not in _LOADING}
    return json.loads(json.dumps(plain))  # tuples and lists are the same


def _different_fields(one: Any, other: Any, where: str = '') -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            path = f'{where}.{key}' if where else key
            yield from _different_fields(one.get(key), other.get(key), path)
    elif one != other:
        yield where


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
    """What `note` wrote."""
    path = run.folder / 'run.json'
    return json.loads(path.read_text(encoding='utf-8')) if path.is_file() else {}


def note(run: Run, checkpoint: Path | None = None) -> None:
    """Write down once which data a run sees, and what it was trained with when it is finished."""
    facts = read_facts(run)
    new = {'seed': run.seed, 'data': data_facts(run.config()), **facts}
    if checkpoint is not None and 'iterations' not in facts:
        meta = load_checkpoint_file(checkpoint)['meta']
        new |= {'iterations': meta['iter'], 'machine': describe_machine()}
        new |= {'environment': meta.get('environment', {})}
    if new != facts:
        write_json(run.folder / 'run.json', new)


def data_facts(config: Config) -> dict[str, Any]:
    """How the data below the config's roots were made, where they say so (nightscape does)."""
    made = {Path(root).parent / 'nightscape.json' for root in _data_roots(config.train_dataloader)}
    return {
        str(path): json.loads(path.read_text(encoding='utf-8'))
        for path in sorted(made)
        if path.is_file()
    }


def _data_roots(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from [str(value)] if key == 'data_root' else _data_roots(value)
