"""`--log`: one more backend, and a sentence where its package is missing."""

import importlib.util

import pytest
from mmengine.config import Config

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
