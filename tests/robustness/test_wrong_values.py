"""A table of mistakes in configs: each ends in one sentence that names the place of the field."""

import copy

import pytest

from dsr_nss.engine.config import apply_options, check_config, open_config
from dsr_nss.errors import ConfigError

NAN, INF = float('nan'), float('inf')
DATASET = 'train_dataloader.dataset'
SAMPLING = f'{DATASET}.rare_class_sampling'
#: Field -> values that nobody can mean.
MISTAKES = {
    'model.alpha': [-1, 'one', NAN, None, [1.0]],
    'model.beta': [-1, INF, '0.1', True],
    'model.confidence_threshold': [7, -0.1, '0.968', None],
    'model.adapt_to_reference': [2, -1, True],
    'model.teacher': ['EMATeacher', None, 3],
    'model.teacher.momentum': [1.5, -0.1, 'high', None],
    'model.teacher.teacher_bn': ['frozen', 1, None],
    'model.mixup.class_pool': ['pixel', None],
    'model.mixup.random_half': [1, 'yes'],
    'model.mixup.always_classes': ['person', 3],
    'model.bank.capacity': [0, -3, 2.5, '6'],
    'model.bank.interval': [0, None],
    'model.bank.size': [192, (192,), (0, 192), ('a', 192)],
    'model.bank.device': ['gpu', 0],
    'model.augmentation.jitter_probability': [1.2, -1],
    'model.augmentation.blur_sigma': [1.0, (1,), (0.1, -2)],
    'model.augmentation.definition': ['opencv'],
    'model.augmentation.decide': ['pixel'],
    'model.alignment.start': [-1, 1.5, 'late'],
    'model.alignment.tau': [0, -0.1, NAN],
    'model.alignment.feature_level': ['last', 1.0],
    'model.alignment.reweight': ['square'],
    'model.alignment.absent': [None, 'left'],
    'model.alignment.mixed_weight': [-1],
    'model.alignment.night_gradient': [0, 'no'],
    'model.refinement.gamma': [-0.5, 'small'],
    'model.refinement.aligner': ['Identity', 4],
    'model.student.decode_head.detail_loss_weight': [1.5, -1],
    'model.student.decode_head.detail_stride': [0, 2],
    'model.student.decode_head.head.num_classes': [0, 19.0, 'all'],
    'train_dataloader.batch_size': [0, -1, 1.5, '2', None],
    'train_dataloader.num_workers': [-1, 'many'],
    'train_dataloader.persistent_workers': [2],
    f'{DATASET}.crop_size': [0, (-1, 5), (192, 'x'), (1, 2, 3)],
    f'{DATASET}.max_class_share': [0, 1.5, 'half'],
    f'{DATASET}.flip': [2, -0.5],
    f'{DATASET}.seed': [-1, 0.5],
    f'{DATASET}.source.data_root': [None, 7],
    f'{SAMPLING}.temperature': [0, -1, 'warm'],
    f'{SAMPLING}.max_tries': [0],
    f'{SAMPLING}.min_crop_ratio': [-0.5],
    f'{SAMPLING}.temprature': [0.01],
    'optim_wrapper.optimizer.lr': [0, -1e-3, 'fast', None, NAN],
    'optim_wrapper.optimizer.weight_decay': [-0.1],
    'optim_wrapper.optimizer.betas': [0.9, (0.9, 1.0), (0.9,)],
    'optim_wrapper.paramwise_cfg.backbone_lr_mult': [-1, 'tenth'],
    'param_scheduler.warmup': [-1, 1.5, '10 %'],
    'param_scheduler.power': [0, -1],
    'train_cfg.max_iters': [0, -5, 1e3, '600'],
    'train_cfg.val_interval': [0, -1],
    'randomness.seed': [-1, 'random', 0.5],
    'default_hooks.checkpoint.interval': [0, -1, 'often'],
    'default_hooks.checkpoint.max_keep_ckpts': [-2, 1.5],
    'default_hooks.logger.interval': [0, 'often'],
    'default_hooks.panel.interval': [0],
    'log_level': ['LOUD'],
}
CASES = [(field, value) for field, values in MISTAKES.items() for value in values]
assert len(CASES) >= 100, 'fewer mistakes than there were'


@pytest.fixture(scope='module')
def good(repo_root):
    config = open_config(repo_root / 'configs/demo/dsr_hrda_nightscape.py')
    check_config(config)
    return config


@pytest.mark.parametrize('field, value', CASES)
def test_one_sentence_names_the_field(good, field, value):
    config = copy.deepcopy(good)
    apply_options(config, {f'+{field}': value})
    with pytest.raises(ConfigError) as error:
        check_config(config)
    text = str(error.value)
    parent, _, name = field.rpartition('.')
    # an unknown name is reported with the section that does not have it
    assert text.startswith(field) or (text.startswith(parent) and repr(name) in text), text
    assert len(text) < 300 and '\n' not in text
