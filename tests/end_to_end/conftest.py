"""Trainings of seconds through `tools/train.py`."""

import sys
from pathlib import Path

import pytest
import torch

ENGINE_TESTS = Path(__file__).resolve().parents[1] / 'engine'
sys.path.insert(0, str(ENGINE_TESTS))

import toy_adaptation  # noqa: E402


@pytest.fixture
def one_thread():
    """As the processes that `start` starts: the last bit depends on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def train(run_tool, tmp_path, monkeypatch, capfd, one_thread):
    """Runs the tool in this process; returns its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    # mmengine names a run by its config and the second it starts in
    config = tmp_path / f'toy_{tmp_path.name}.py'
    config.write_text(toy_adaptation.CONFIG)

    def run(*arguments):
        capfd.readouterr()
        return run_tool('train', config.name, *arguments), ''.join(capfd.readouterr())

    return run
