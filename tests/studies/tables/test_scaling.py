"""Shorter runs keep their proportions."""

import pytest
from mmengine.config import Config

from dsr_nss.engine.config import apply_options, read_config
from dsr_nss.errors import ConfigError
from dsr_nss.studies.tables.scaling import scaled_options


def config() -> Config:
    return Config(
        dict(
            model=dict(teacher=dict(momentum=0.999), alignment=dict(start=10000)),
            train_cfg=dict(max_iters=40000, val_interval=4000),
            param_scheduler=dict(warmup=1500),
            default_hooks=dict(
                logger=dict(interval=50), checkpoint=dict(interval=4000), panel=None
            ),
        )
    )


def test_every_count_scales_and_the_teacher_remembers_the_same_share():
    assert scaled_options(config(), 4000) == {
        'train_cfg.max_iters': 4000,
        'train_cfg.val_interval': 400,
        'param_scheduler.warmup': 150,
        'model.alignment.start': 1000,
        'default_hooks.logger.interval': 5,
        'default_hooks.checkpoint.interval': 400,
        'model.teacher.momentum': 0.99,  # 1 - 40 / 4000
    }


def test_the_shortest_runs_have_no_impossible_values():
    options = scaled_options(config(), 20)
    assert options['model.teacher.momentum'] == 0.0  # 1 - 40 / 20 is negative
    assert options['default_hooks.logger.interval'] == 1
    assert options['model.alignment.start'] == 5
    assert options['param_scheduler.warmup'] == 1


def test_a_run_without_adaptation_has_fewer_fields():
    source_only = config()
    source_only.model = dict(type='SourceOnly')
    assert not any(name.startswith('model.') for name in scaled_options(source_only, 100))
    without_alignment = config()
    without_alignment.model.alignment = None
    assert 'model.alignment.start' not in scaled_options(without_alignment, 100)


def test_one_iteration_is_refused():
    with pytest.raises(ConfigError, match='--max-iters must be >= 2, got 1'):
        scaled_options(config(), 1)


@pytest.mark.parametrize('name', ['dsr_hrda_darkzurich', 'demo/dsr_hrda_nightscape'])
def test_the_fields_exist_and_doing_nothing_changes_nothing(repo_root, name):
    read = read_config(repo_root / f'configs/{name}.py')
    same = read_config(repo_root / f'configs/{name}.py')
    apply_options(same, scaled_options(read, read.train_cfg.max_iters))
    for field, value in scaled_options(read, read.train_cfg.max_iters).items():
        node = read
        for part in field.split('.'):
            node = node[part]
        assert node == pytest.approx(value, abs=1e-9), field
