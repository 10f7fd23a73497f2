"""`--log`: one more backend, what it records, and a sentence where its package is missing."""

import importlib.util
import sys
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import VISBACKENDS

from dsr_nss.engine import preflight
from dsr_nss.engine.config import read_config
from dsr_nss.engine.trackers import BACKENDS, use_tracker
from dsr_nss.errors import ConfigError

DEMO = 'configs/demo/source_only_hrda_nightscape.py'


@pytest.mark.parametrize('name', ['wandb', 'mlflow'])
def test_one_backend_more_and_its_package_is_asked_for(name, repo_root, monkeypatch):
    own = importlib.util.find_spec
    there: set[str] = set()

    def find(package):
        return object() if package in there else None if package == name else own(package)

    monkeypatch.setattr(preflight.importlib.util, 'find_spec', find)
    with pytest.raises(ConfigError, match=f'needs the package {name}: `pip install {name}`'):
        read_config(repo_root / DEMO, log=name)
    there.add(name)
    config = read_config(repo_root / DEMO, log=name)
    kinds = [backend['type'] for backend in config.visualizer.vis_backends]
    assert kinds == ['LocalVisBackend', 'TensorboardVisBackend', BACKENDS[name]]
    assert config.vis_backends == config.visualizer.vis_backends


def test_a_backend_that_is_there_is_not_doubled(repo_root):
    plain, logged = (read_config(repo_root / DEMO, log=name) for name in (None, 'tensorboard'))
    assert plain.visualizer == logged.visualizer


def test_a_config_without_a_visualizer_is_named():
    with pytest.raises(ConfigError, match='--log wandb: the config has no visualizer'):
        use_tracker(Config(dict(model=dict())), 'wandb')


class Refused(Exception):
    """What a tracker's own package raises."""


@pytest.fixture
def backend(tmp_path, monkeypatch):
    """Builds the backend of a name as a runner does for the run `work_dirs/my_run`."""
    for variable in ('WANDB_NAME', 'MLFLOW_TRACKING_URI', 'MLFLOW_EXPERIMENT_NAME'):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)

    def build(name):
        return VISBACKENDS.build(
            dict(type=BACKENDS[name], save_dir='work_dirs/my_run/20261129_202951/vis_data')
        )

    return build


def record(backend):
    """Of a run: its config, two steps and a picture of the second."""
    backend.add_config(Config(dict(work_dir='work_dirs/my_run', alpha=0.5)))
    for step in (5, 10):
        backend.add_scalars(dict(loss=1 / step, iter=step), step=step)
    backend.add_image('panel', np.full((4, 8, 3), 128, np.uint8), step=10)
    backend.close()


def test_wandb_keeps_a_run_without_the_code(backend, tmp_path, monkeypatch):
    wandb = pytest.importorskip('wandb', reason='wandb is not installed')
    monkeypatch.setenv('WANDB_MODE', 'offline')
    (tmp_path / 'mine.py').write_text('password = 1')
    record(backend('wandb'))
    wandb.teardown()  # its process writes the rest of the file
    (run,) = tmp_path.glob('work_dirs/my_run/*/vis_data/wandb/offline-run-*')
    assert len(list(run.glob('files/media/images/panel_*.png'))) == 1
    (written,) = (path.read_bytes() for path in run.glob('*.wandb'))
    assert all(word in written for word in (b'my_run', b'loss', b'alpha', b'work_dirs'))
    assert b'mine.py' not in written


def test_mlflow_keeps_a_run_in_its_folder(backend, tmp_path):
    mlflow = pytest.importorskip('mlflow', reason='mlflow is not installed')
    record(backend('mlflow'))
    folder = tmp_path / 'work_dirs/my_run'
    client = mlflow.MlflowClient(f'sqlite:///{folder}/mlflow.db')
    (run,) = client.search_runs([client.get_experiment_by_name('dsr_nss').experiment_id])
    assert (run.info.run_name, run.info.status) == ('my_run', 'FINISHED')
    assert run.data.params == {'work_dir': 'work_dirs/my_run', 'alpha': '0.5'}
    losses = client.get_metric_history(run.info.run_id, 'loss')
    assert [(loss.step, loss.value) for loss in losses] == [(5, 0.2), (10, 0.1)]
    assert len(list(folder.glob('mlflow/*/artifacts/images/panel+step+10*.png'))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ['work_dirs']


def test_wandb_is_told_names_and_gets_no_code(backend, monkeypatch):
    wandb = MagicMock(Error=Refused)
    monkeypatch.setitem(sys.modules, 'wandb', wandb)
    record(backend('wandb'))
    assert wandb.init.call_args.kwargs['name'] == 'my_run'
    wandb.define_metric.assert_called_once_with(name='*', step_metric='iter')
    wandb.run.log_code.assert_not_called()
    wandb.init.side_effect = Refused('No API key.')
    with pytest.raises(ConfigError, match='wandb: No API key. WANDB_MODE=offline keeps'):
        record(backend('wandb'))


def test_mlflow_takes_its_variables(backend, tmp_path, monkeypatch):
    mlflow, exceptions = MagicMock(), ModuleType('mlflow.exceptions')
    exceptions.MlflowException = mlflow.MlflowException = Refused
    monkeypatch.setitem(sys.modules, 'mlflow', mlflow)
    monkeypatch.setitem(sys.modules, 'mlflow.exceptions', exceptions)
    record(backend('mlflow'))
    mlflow.set_tracking_uri.assert_called_with(f'sqlite:///{tmp_path}/work_dirs/my_run/mlflow.db')
    mlflow.set_experiment.assert_called_with('dsr_nss')
    monkeypatch.setenv('MLFLOW_TRACKING_URI', 'http://server:5000')
    monkeypatch.setenv('MLFLOW_EXPERIMENT_NAME', 'night')
    mlflow.log_image.side_effect = Refused('the server is gone')  # no reason to stop a training
    record(backend('mlflow'))
    assert mlflow.log_image.call_args.kwargs == dict(key='panel', step=10, synchronous=True)
    mlflow.set_tracking_uri.assert_called_with('http://server:5000')
    mlflow.set_experiment.assert_called_with('night')
    mlflow.get_experiment_by_name.side_effect = Refused('no answer')
    with pytest.raises(ConfigError, match='--log mlflow: http://server:5000: no answer'):
        record(backend('mlflow'))
