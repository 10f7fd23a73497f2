"""What of a changed config is named when a run is resumed."""

import pytest
import toy_adaptation
from mmengine.config import Config

from dsr_nss.engine.config_changes import changes_since, config_changes, refuse_changes
from dsr_nss.errors import CheckpointError


def base():
    return dict(
        model=dict(type='DSRNSS', alpha=1.0, alignment=dict(type='FPALoss', start=10)),
        train_dataloader=dict(
            batch_size=2,
            num_workers=1,
            dataset=dict(crop_size=(64, 64), source=dict(data_root='a', splits=['x', 'y'])),
        ),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3)),
        param_scheduler=[dict(type='WarmupPolyLR', warmup=5)],
        train_cfg=dict(max_iters=40, val_interval=5),
        randomness=dict(seed=0),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=50), seed=dict(type='SeedEachIteration')
        ),
        work_dir='a',
        class_names=('a', 'b'),
    )


def changed(path, value):
    config = base()
    *parents, last = path.split('.')
    node = config
    for name in parents:
        node = node[int(name) if isinstance(node, list) else name]
    node[last] = value
    return config


@pytest.mark.parametrize(
    'path, value, line',
    [
        ('model.alpha', 0.5, 'model.alpha: 1.0 -> 0.5'),
        ('model.beta', 0.1, 'model.beta: not stated -> 0.1'),
        ('model.alignment', None, "model.alignment: {'type': 'FPALoss', 'start': 10} -> None"),
        ('model.alignment.start', 20, 'model.alignment.start: 10 -> 20'),
        ('train_dataloader.batch_size', 1, 'train_dataloader.batch_size: 2 -> 1'),
        (
            'train_dataloader.dataset.crop_size', (32, 64),
            'train_dataloader.dataset.crop_size: (64, 64) -> (32, 64)',
        ),
        (
            'train_dataloader.dataset.source.splits', ['x'],
            "train_dataloader.dataset.source.splits: ['x', 'y'] -> ['x']",
        ),
        ('optim_wrapper.type', 'AdaptiveAmpOptimWrapper',
         "optim_wrapper.type: 'OptimWrapper' -> 'AdaptiveAmpOptimWrapper'"),
        ('optim_wrapper.optimizer.lr', 1e-4, 'optim_wrapper.optimizer.lr: 0.001 -> 0.0001'),
        ('param_scheduler.0.warmup', 9, 'param_scheduler.0.warmup: 5 -> 9'),
        ('train_cfg.max_iters', 80, 'train_cfg.max_iters: 40 -> 80'),
        ('randomness.seed', 1, 'randomness.seed: 0 -> 1'),
        ('default_hooks.seed', None,
         "default_hooks.seed: {'type': 'SeedEachIteration'} -> not stated"),
        ('custom_hooks', [dict(type='EMAHook')],
         "custom_hooks.0: not stated -> {'type': 'EMAHook'}"),
        ('default_hooks.seed.seed', 3, 'default_hooks.seed.seed: not stated -> 3'),
        ('sync_bn', 'torch', "sync_bn: {} -> 'torch'"),
        ('compile', True, 'compile: {} -> True'),
        ('model_wrapper_cfg', dict(type='X'), "model_wrapper_cfg.type: not stated -> 'X'"),
        ('data_preprocessor', dict(mean=[0]), 'data_preprocessor.mean: not stated -> [0]'),
        # another number of parts is one change, not an error
        ('param_scheduler', [], "param_scheduler: [{'type': 'WarmupPolyLR', 'warmup': 5}] -> {}"),
        ('param_scheduler', [dict(type='WarmupPolyLR', warmup=5)] * 2,
         f"param_scheduler: {[dict(type='WarmupPolyLR', warmup=5)]} -> "
         f"{[dict(type='WarmupPolyLR', warmup=5)] * 2}"),
    ],
)  # fmt: skip
def test_what_decides_is_named_with_both_values(path, value, line):
    assert config_changes(base(), changed(path, value)) == [line]


@pytest.mark.parametrize(
    'path, value',
    [
        ('work_dir', 'b'),
        ('class_names', ()),
        ('train_dataloader.num_workers', 8),
        ('train_cfg.val_interval', 1),
        ('train_dataloader.dataset.cache', 'cache'),
        ('train_dataloader.dataset.crop_size', [64, 64]),  # a list is as good as a tuple
        ('default_hooks.logger.interval', 1),
        ('default_hooks.logger', None),
        ('default_hooks.stop', dict(type='GracefulStop', command='x')),
        ('val_dataloader', dict(batch_size=7)),
    ],
)
def test_what_decides_nothing_is_not(path, value):
    assert config_changes(base(), changed(path, value)) == []


def test_hooks_that_look_on_do_not_number_the_others():
    acting, onlooker = dict(type='EMAHook'), dict(type='GradientShare')
    for saved, given in (([onlooker, acting], [acting]), ([acting], [onlooker, acting])):
        assert config_changes({'custom_hooks': saved}, {'custom_hooks': given}) == []


def test_a_whole_config_as_text_equals_itself(tmp_path):
    (tmp_path / 'toy.py').write_text(toy_adaptation.CONFIG)
    text = Config.fromfile(tmp_path / 'toy.py').pretty_text
    assert changes_since('a.pth', dict(cfg=text), text) == []
    assert changes_since('a.pth', dict(cfg=text.replace('batch_size=2', 'batch_size=4')), text) == [
        'train_dataloader.batch_size: 4 -> 2'
    ]


def test_code_in_the_checkpoints_config_is_a_change_and_not_run(tmp_path):
    text = f'model = open({str(tmp_path / "CANARY")!r}, "w")'
    (line,) = changes_since('a.pth', dict(cfg=text), 'model = 1')
    assert 'cannot be compared: the config in a.pth' in line and 'holds code: open(' in line
    assert not list(tmp_path.iterdir())
    assert 'it carries none' in changes_since('a.pth', {}, '')[0]


def test_every_change_has_its_line_and_the_message_says_how_to_go_on():
    refuse_changes('a.pth', [])
    with pytest.raises(CheckpointError) as error:
        refuse_changes('a.pth', ['model.alpha: 1 -> 2', 'randomness.seed: 0 -> 1'])
    assert str(error.value).splitlines()[1:] == [
        '    model.alpha: 1 -> 2',
        '    randomness.seed: 0 -> 1',
        'Resume with the former values, or add --allow-changes to go on with the new ones',
    ]


def test_names_from_the_file_do_not_reach_the_terminal_raw():
    (line,) = config_changes(dict(model={'\x1b[2J': 1}), dict(model={}))
    assert '\x1b' not in line
