"""Runs of another length keep their proportions."""

import pytest
from mmengine.config import Config

from dsr_nss.engine.config import open_config, read_config
from dsr_nss.engine.length import scale_length
from dsr_nss.engine.overlays import lay_over
from dsr_nss.errors import ConfigError


def config(**fields) -> Config:
    content = dict(
        max_iters=40000,
        model=dict(teacher=dict(momentum=0.999), alignment=dict(start=10000)),
        train_cfg=dict(max_iters=40000, val_interval=4000),
        param_scheduler=dict(warmup=1500, power=0.9),
        default_hooks=dict(
            logger=dict(interval=50, log_metric_by_epoch=False),
            checkpoint=dict(interval=4000, max_keep_ckpts=2),
            panel=None,
        ),
    )
    return Config(content | fields)


def test_what_never_happens_and_what_counts_images_stay():
    hooks = dict(
        checkpoint=dict(interval=-1), visualization=dict(type='SegVisualizationHook', interval=50)
    )
    assert scaled(400, default_hooks=hooks).default_hooks.to_dict() == hooks


BASE = 'max_iters = 600\ntrain_cfg = dict(max_iters=max_iters, val_interval=150)\n'


def test_a_length_that_the_base_has_used_already_is_refused(tmp_path):
    """It would train 600 steps; the same in an overlay. What a run dumps has no base."""
    base, mine = tmp_path / 'base.py', tmp_path / 'mine.py'
    base.write_text(BASE)
    mine.write_text("_base_ = 'base.py'\nmax_iters = 50\n")
    idle = r'mine.py: max_iters = 50 changes nothing.* its 600 .*`--max-iters 50`'
    with pytest.raises(ConfigError, match=idle):
        open_config(mine)
    mine.write_text('max_iters = 50\n')
    with pytest.raises(ConfigError, match=idle):
        lay_over(open_config(base), [mine])
    mine.write_text("_base_ = 'base.py'\ntrain_cfg = dict(max_iters=50)\n")
    assert open_config(mine).train_cfg.max_iters == 50
    mine.write_text("_base_ = 'base.py'\nmax_iters = 50\ntrain_cfg = dict(max_iters=max_iters)\n")
    assert open_config(mine).train_cfg.max_iters == 50
    mine.write_text('max_iters = 50\ntrain_cfg = dict(max_iters=9)\n')
    assert open_config(mine).train_cfg.max_iters == 9


def scaled(max_iters: int, **fields) -> Config:
    result = config(**fields)
    scale_length(result, max_iters)
    return result


def test_every_count_scales_and_the_teacher_remembers_the_same_share():
    assert scaled(4000).to_dict() == dict(
        max_iters=4000,
        model=dict(teacher=dict(momentum=0.99), alignment=dict(start=1000)),  # 1 - 40 / 4000
        train_cfg=dict(max_iters=4000, val_interval=400),
        param_scheduler=dict(warmup=150, power=0.9),
        default_hooks=dict(
            logger=dict(interval=5, log_metric_by_epoch=False),
            checkpoint=dict(interval=400, max_keep_ckpts=2),
            panel=None,
        ),
    )


def test_the_shortest_runs_have_no_impossible_values():
    result = scaled(20)
    assert result.model.teacher.momentum == 0.0  # 1 - 40 / 20 is negative
    assert result.default_hooks.logger.interval == 1
    assert (result.model.alignment.start, result.param_scheduler.warmup) == (5, 1)


def test_schedulers_and_losses_of_other_methods_follow_too():
    steps = dict(type='MultiStepLR', milestones=[20000, 30000], gamma=0.5)
    cosine = dict(type='CosineAnnealingLR', T_max=40000)
    result = scaled(
        400,
        model=dict(bipath_start=10000, alignment=None, teacher=None),
        param_scheduler=[dict(begin=0, end=1600), steps, cosine],
        train_cfg=dict(max_iters=40000, val_begin=20000),
        custom_hooks=[dict(type='GradientShare', interval=200)],
    )
    assert result.train_cfg == dict(max_iters=400, val_begin=200)
    assert result.custom_hooks[0].interval == 2 and result.param_scheduler[2].T_max == 400
    assert result.model == dict(bipath_start=100, alignment=None, teacher=None)
    assert result.param_scheduler[0] == dict(begin=0, end=16)
    assert result.param_scheduler[1] == dict(type='MultiStepLR', milestones=[200, 300], gamma=0.5)


def test_what_cannot_be_scaled_is_refused():
    with pytest.raises(ConfigError, match='--max-iters must be >= 2, got 1'):
        scaled(1)
    with pytest.raises(ConfigError, match='has no train_cfg.max_iters to change'):
        scaled(4, train_cfg=dict(max_epochs=3))


@pytest.mark.parametrize('name', ['dsr_hrda_darkzurich', 'demo/dsr_hrda_nightscape'])
def test_the_same_length_changes_nothing_and_a_tenth_reaches_the_config(repo_root, name):
    path = repo_root / f'configs/{name}.py'
    read = read_config(path)
    length = read.train_cfg.max_iters
    momentum = read.model.teacher.momentum
    same = read_config(path, max_iters=length)
    assert same.model.teacher.momentum == pytest.approx(momentum, abs=1e-9)
    same.model.teacher.momentum = momentum
    assert same.to_dict() == read.to_dict()
    tenth = read_config(path, {'default_hooks.logger.interval': 7}, max_iters=length // 10)
    assert tenth.train_cfg.max_iters == length // 10
    for part, field in (('param_scheduler', 'warmup'), ('model.alignment', 'start')):
        before, after = (c[part] if part in c else c.model.alignment for c in (read, tenth))
        assert after[field] == before[field] // 10
    assert tenth.default_hooks.logger.interval == 7  # options have the last word


def test_what_stands_in_tuples_keeps_its_share_too():
    schedulers = (dict(type='WarmupPolyLR', warmup=1500), dict(milestones=(20000, 30000)))
    result = scaled(400, param_scheduler=schedulers, custom_hooks=(dict(interval=500),))
    assert result.param_scheduler[0].warmup == 15
    assert result.param_scheduler[1].milestones == (200, 300)
    assert isinstance(result.param_scheduler, tuple) and result.custom_hooks[0].interval == 5
