"""Break the code on purpose, one line at a time, and see the tests notice: `make mutants`.

    python -m tests.mutate [--only TEXT] [--jobs N]

Prints for each fault of `tests/mutants.py` the first test that fails; the exit status is 1 if a
fault survives. A fault is written into a copy of the package, never into the checkout.
"""

import argparse
import multiprocessing
import shutil
import sys
import tempfile
from pathlib import Path

from tests.mutants import MUTANTS

ROOT = Path(__file__).resolve().parents[1]
#: What is asked about faults of the training step, the quickest first.
ORACLE = ['tests/end_to_end/test_step_oracle.py']
_ROBUST = 'tests/robustness/'
#: What is asked about faults of a file that is no part of it.
ALONE = {
    'engine/resume_points.py': ['tests/engine/test_resume_points.py'],
    'engine/config_changes.py': ['tests/engine/test_config_changes.py'],
    'engine/process_states.py': ['tests/engine/test_process_states.py'],
    'engine/resumed_rates.py': ['tests/engine/test_schedule.py'],
    'engine/run_lock.py': ['tests/engine/test_run_lock.py'],
    'engine/workers.py': ['tests/engine/test_workers.py'],
    'engine/value_checks.py': [
        'tests/engine/test_value_checks.py',
        f'{_ROBUST}test_wrong_values.py',
    ],
    'values.py': ['tests/test_values.py', f'{_ROBUST}test_wrong_values.py'],
    'files.py': [
        'tests/test_files.py',
        f'{_ROBUST}test_full_disk.py',
        f'{_ROBUST}test_odd_entries.py',
    ],
}
#: What is asked of the step's parts beside the oracle: the first folder that a file lies in.
TESTS = {
    'functional/': ['tests/functional'],
    'models/segmentors/': ['tests/models/segmentors'],
    'models/dsr/': ['tests/models/dsr', 'tests/models/segmentors/test_dsr_nss.py'],
    'models/fpa/': ['tests/models/fpa', 'tests/models/segmentors/test_dsr_nss.py'],
    'models/refine/': ['tests/models/refine/test_holistic.py'],
    'models/losses/': ['tests/models/losses'],
    'models/': ['tests/models/test_teacher.py', 'tests/models/segmentors'],
    'engine/': ['tests/engine/test_schedule.py', 'tests/engine/test_optim_constructor.py',
                'tests/functional/test_schedule.py'],
    'datasets/': ['tests/datasets/test_source_target.py'],
}  # fmt: skip


def tests_of(file: str) -> list[str]:
    """Test files and folders for a fault in `file`."""
    if file in ALONE:
        return ALONE[file]
    return [*ORACLE, *next(tests for folder, tests in TESTS.items() if file.startswith(folder))]


def try_mutant(mutant: tuple[str, str, str]) -> str:
    """Name of the first test that fails with the fault, or '' if none does.

    Raises:
        ValueError: The piece to replace does not occur exactly once.
    """
    file, old, new = mutant
    text = (ROOT / 'dsr_nss' / file).read_text()
    if text.count(old) != 1:
        raise ValueError(f'{file} holds {old!r} {text.count(old)} times, not once')
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / 'checkout'
        copy.mkdir()
        for name in ('dsr_nss', 'tests', 'configs', 'tools'):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns('__pycache__'))
        shutil.copy(ROOT / 'pyproject.toml', copy)
        (copy / 'dsr_nss' / file).write_text(text.replace(old, new))
        return _first_failure(copy, tests_of(file))


def _first_failure(checkout: Path, tests: list[str]) -> str:
    """Run the tests in this process, which has imported nothing of the package yet."""
    import os

    import pytest

    failed: list[str] = []

    class Reader:
        def pytest_runtest_logreport(self, report) -> None:
            if report.failed:
                failed.append(report.nodeid)

        def pytest_collectreport(self, report) -> None:
            if report.failed:
                failed.append(report.nodeid)

    os.chdir(checkout)
    sys.path.insert(0, str(checkout))
    sys.stdout = sys.stderr = open(os.devnull, 'w')
    for name in [n for n in sys.modules if n.split('.')[0] in ('dsr_nss', 'tests')]:
        del sys.modules[name]
    pytest.main(['-x', '-q', '-p', 'no:cacheprovider', *tests], plugins=[Reader()])
    return failed[0] if failed else ''


def main() -> int:
    parser = argparse.ArgumentParser(description='Break the code line by line; do tests notice?')
    parser.add_argument('--only', default='', help='faults whose file or text holds this')
    parser.add_argument('--jobs', type=int, default=2, help='faults tried side by side')
    args = parser.parse_args()
    # once, before the processes of the faults are forked
    import mmengine  # noqa: F401
    import mmseg.models  # noqa: F401
    import pytest  # noqa: F401
    import torch

    torch.set_num_threads(1)
    mutants = [m for m in MUTANTS if args.only in m[0] or args.only in m[1]]
    survivors = 0
    with multiprocessing.get_context('fork').Pool(args.jobs, maxtasksperchild=1) as pool:
        for (file, old, new), killer in zip(mutants, pool.imap(try_mutant, mutants), strict=True):
            survivors += not killer
            change = f'{old} -> {new or "(nothing)"}'.replace('\n', ' / ')
            print(
                f'{"killed " if killer else "SURVIVES"} {file}: {change}\n    {killer}', flush=True
            )
    print(f'{len(mutants)} faults, {survivors} survive')
    return 1 if survivors else 0


if __name__ == '__main__':
    sys.exit(main())
