"""Trainings in processes of their own, and what two of them have in common."""

import os
import subprocess
import sys
from pathlib import Path

import torch

ENGINE_TESTS = Path(__file__).resolve().parents[1] / 'engine'
sys.path.insert(0, str(ENGINE_TESTS))

import toy_adaptation  # noqa: E402

from dsr_nss.checkpoints.safe_load import load_checkpoint_file  # noqa: E402


def start(repo_root, tmp_path, *command, config=toy_adaptation.CONFIG):
    """Starts a command beside the config `toy.py`."""
    (tmp_path / 'toy.py').write_text(config)
    # the package of this checkout, whichever one is installed
    given = os.environ.get('PYTHONPATH')
    path = os.pathsep.join([str(ENGINE_TESTS), str(repo_root), *([given] if given else [])])
    environment = dict(os.environ, PYTHONPATH=path, OMP_NUM_THREADS='1', PYTHON=sys.executable)
    return subprocess.Popen(
        command, cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def assert_same_state(first: Path, second: Path) -> None:
    a, b = load_checkpoint_file(first), load_checkpoint_file(second)
    for name, value in a['state_dict'].items():
        assert torch.equal(value, b['state_dict'][name]), name
    for number, state in a['optimizer']['state'].items():
        for name, value in state.items():
            assert torch.equal(value, b['optimizer']['state'][number][name]), (number, name)
    assert a['meta']['iter'] == b['meta']['iter']
