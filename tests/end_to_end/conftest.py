"""Trainings of seconds through `tools/train.py`."""

import importlib.util
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
def train(repo_root, tmp_path, monkeypatch, capfd, one_thread):
    """Runs the tool in this process; returns its exit code and what it printed."""
    spec = importlib.util.spec_from_file_location('train_tool', repo_root / 'tools' / 'train.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.chdir(tmp_path)
    # mmengine names a run by its config and the second it starts in
    config = tmp_path / f'toy_{tmp_path.name}.py'
    config.write_text(toy_adaptation.CONFIG)

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['train.py', config.name, *map(str, arguments)])
        capfd.readouterr()
        code = tool.main()
        out, err = capfd.readouterr()
        return code, out + err

    return run
