"""The demonstration: make data, train with and without adaptation, test both, write a report.

Everything runs through the ordinary command lines, so a reader can repeat each step by hand.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dsr_nss.commands import typed
from dsr_nss.engine.config import read_config
from dsr_nss.engine.resume_points import checkpoints_of
from dsr_nss.errors import DemoError
from dsr_nss.shipped import ROOT
from dsr_nss.studies.demo.report import write_demo_report, write_summary

DATA_ROOT = 'data/nightscape'
TEST_SET = 'dark_zurich_val'
SCENES, SIZE = 120, '256x512'
CONFIGS = {
    'source_only': 'configs/demo/source_only_hrda_nightscape.py',
    'dsr_nss': 'configs/demo/dsr_hrda_nightscape.py',
}


@dataclass
class DemoRun:
    """One trained and tested model.

    Attributes:
        name: `source_only` or `dsr_nss`.
        config: Its config file.
        folder: Work dir of its training.
        checkpoint: The last checkpoint.
        scores: The flat result of `tools/test.py`.
        predictions: Folder of its predictions.
        train_seconds: Wall time of the training.
        commands: What was run.
    """

    name: str
    config: str
    folder: Path
    checkpoint: Path
    scores: dict[str, Any]
    predictions: Path
    train_seconds: float
    commands: list[str]


def run_demo(seed: int, out: str | Path = 'work_dirs/demo') -> dict[str, Any]:
    """Run the whole demonstration; earlier results in `out` are replaced.

    Args:
        seed: Seed of the data and of both trainings.
        out: Receives `nightscape/`, one folder for each run, `summary.json` and `report.html`.

    Returns:
        The content of `summary.json`.

    Raises:
        DemoError: A command failed.
    """
    start = time.monotonic()
    out = Path(out)
    for name in (*CONFIGS, 'summary.json', 'report.html'):
        _remove(out / name)
    data = out / 'nightscape'
    make_data = _make_data(data, seed)
    runs = [_train_and_test(name, data, out, seed) for name in CONFIGS]
    seconds = time.monotonic() - start
    summary = write_summary(
        out / 'summary.json', runs, seed=seed, seconds=seconds, test_set=TEST_SET
    )
    write_demo_report(out / 'report.html', runs, summary, data, make_data)
    return summary


def _make_data(data: Path, seed: int) -> str:
    options = ['--scenes', str(SCENES), '--size', SIZE, '--seed', str(seed), '--overwrite']
    return _call('tools/make_nightscape.py', str(data), *options)


def _train_and_test(name: str, data: Path, out: Path, seed: int) -> DemoRun:
    config, folder = CONFIGS[name], out / name
    moved = list(data_root_options(read_config(ROOT / config), DATA_ROOT, str(data)))
    for former in checkpoints_of(folder):  # of a demo that is repeated
        former.unlink()
    start = time.monotonic()
    train = _call(
        'tools/train.py', config, '--work-dir', str(folder), '--seed', str(seed),
        '--cfg-options', *moved,
    )  # fmt: skip
    train_seconds = time.monotonic() - start
    checkpoint = Path((folder / 'last_checkpoint').read_text().strip())
    test = _call(
        'tools/test.py', config, str(checkpoint), '--dataset', TEST_SET,
        '--json', str(folder / 'scores.json'), '--out', str(folder / 'predictions'),
        '--cfg-options', *moved,
    )  # fmt: skip
    return DemoRun(
        name=name,
        config=config,
        folder=folder,
        checkpoint=checkpoint,
        scores=json.loads((folder / 'scores.json').read_text()),
        predictions=folder / 'predictions' / TEST_SET,
        train_seconds=train_seconds,
        commands=[train, test],
    )


def data_root_options(config: Config, old: str, new: str) -> Iterator[str]:
    """`--cfg-options` that move every `data_root` below `old` to the same place below `new`."""

    def walk(node: Any, path: tuple[str, ...]) -> Iterator[str]:
        if isinstance(node, dict):
            for key, value in node.items():
                if key == 'data_root' and (value == old or str(value).startswith(old + '/')):
                    yield f'{".".join((*path, key))}={new}{value[len(old) :]}'
                else:
                    yield from walk(value, (*path, key))

    yield from walk(config._cfg_dict, ())


def _call(*arguments: str) -> str:
    """Run a command line of this checkout; returns it as a user would type it."""
    text = typed(arguments)
    print(f'\n$ {text}', flush=True)
    status = subprocess.run([sys.executable, *_absolute(arguments)], cwd=None).returncode
    if status:
        raise DemoError(f'this step ended with status {status}: {text}')
    return text


def _absolute(arguments: Sequence[str]) -> list[str]:
    """Paths of the checkout, wherever the demo was started."""
    inside = ('tools/', 'configs/')
    return [str(ROOT / a) if a.startswith(inside) else a for a in arguments]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
