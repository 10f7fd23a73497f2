"""The demonstration: make data, train with and without adaptation, test both, write a report.

Everything runs through the ordinary command lines, so a reader can repeat each step by hand.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dsr_nss.commands import typed
from dsr_nss.engine.components import components
from dsr_nss.engine.config import read_config
from dsr_nss.errors import DemoError
from dsr_nss.files import write_text
from dsr_nss.pool import patient_environment
from dsr_nss.shipped import ROOT
from dsr_nss.studies.demo.report import DemoRun, write_demo_report, write_summary

DATA_ROOT = 'data/nightscape'
TEST_SET = 'dark_zurich_val'
SCENES, SIZE = 120, '256x512'
CONFIGS = {
    'source_only': 'configs/demo/source_only_hrda_nightscape.py',
    'dsr_nss': 'configs/demo/dsr_hrda_nightscape.py',
}
#: The file that a demo leaves first: of what lies beside it the next one replaces its own.
MARKER = 'demo.txt'
_FILES = ('summary.json', 'report.html')


def run_demo(seed: int, out: str | Path = 'work_dirs/demo') -> dict[str, Any]:
    """Run the whole demonstration; earlier results in `out` are replaced.

    Args:
        seed: Seed of the data and of both trainings.
        out: Receives `nightscape/`, one folder for each run, `summary.json` and `report.html`.

    Returns:
        The content of `summary.json`.

    Raises:
        DemoError: A command failed, or `out` has something of these names that is of no demo.
    """
    out = Path(out)
    earlier = _earlier_runs(out)
    print(
        'Makes data, trains twice, tests twice, writes a report: 10 to 15 minutes on two free '
        'cores. The log of a training tells when it will end (eta).'
    )
    start = time.monotonic()
    for folder in earlier:
        shutil.rmtree(folder)
    for name in _FILES:
        (out / name).unlink(missing_ok=True)
    write_text(out / MARKER, 'What lies here is of a demo; the next one replaces it.\n')
    data = out / 'nightscape'
    make_data = _call(
        'tools/make_nightscape.py', data, '--scenes', SCENES, '--size', SIZE, '--seed', seed,
        *(['--overwrite'] if earlier else []),  # a set that no demo trained on is another's
    )  # fmt: skip
    runs = [_train_and_test(name, data, out / name, seed) for name in CONFIGS]
    facts: dict[str, Any] = dict(seed=seed, seconds=time.monotonic() - start, test_set=TEST_SET)
    summary = write_summary(out / _FILES[0], runs, **facts)
    write_demo_report(out / _FILES[1], runs, summary, data, make_data)
    return summary


def _earlier_runs(out: Path) -> list[Path]:
    """The trainings of an earlier demo, which left `MARKER`; anything else of these names stays."""
    there = [out / name for name in (*CONFIGS, *_FILES) if (out / name).exists()]
    if there and not (out / MARKER).is_file():
        raise DemoError(
            f'{", ".join(map(str, there))}: not of a demo (there is no {MARKER}), and it would be '
            'replaced: move it away, or name another folder with --out'
        )
    return [folder for folder in there if folder.name in CONFIGS]


def _train_and_test(name: str, data: Path, folder: Path, seed: int) -> DemoRun:
    config = CONFIGS[name]
    moved = list(data_root_options(read_config(ROOT / config), DATA_ROOT, str(data)))
    start = time.monotonic()
    train = _call(
        'tools/train.py', config, '--work-dir', folder, '--seed', seed, '--cfg-options', *moved
    )
    train_seconds = time.monotonic() - start
    checkpoint = (folder / 'last_checkpoint').read_text().strip()
    scores = folder / 'scores.json'
    test = _call(
        'tools/test.py', config, checkpoint, '--dataset', TEST_SET, '--json', scores,
        '--out', folder / 'predictions', '--cfg-options', *moved,
    )  # fmt: skip
    return DemoRun(
        name=name,
        folder=folder,
        scores=json.loads(scores.read_text()),
        train_seconds=train_seconds,
        commands=[train, test],
    )


def data_root_options(config: Config, old: str, new: str) -> Iterator[str]:
    """`--cfg-options` that move every `data_root` below `old` to the same place below `new`."""
    for path, part in components(config._cfg_dict):
        root = part.get('data_root', '')
        if f'{root}/'.startswith(f'{old}/'):
            yield f'{path}.data_root={new}{root[len(old) :]}'


def _call(*words: Any) -> str:
    """Run a command line of this checkout; returns it as a user would type it."""
    command = [str(word) for word in words]
    text = typed(command)
    print(f'\n$ {text}', flush=True)
    # wherever the demo was started
    absolute = [str(ROOT / w) if w.startswith(('tools/', 'configs/')) else w for w in command]
    status = subprocess.run([sys.executable, *absolute], env=patient_environment()).returncode
    if status:
        raise DemoError(f'this step ended with status {status}: {text}')
    return text
