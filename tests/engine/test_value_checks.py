"""Ranges of what mmengine, mmseg and torch take, which their constructors do not state."""

import pytest
import torch
from mmengine.runner import IterBasedTrainLoop
from mmseg.models import FCNHead

from dsr_nss.engine.log_processor import AdaptationLogProcessor
from dsr_nss.engine.optim_wrapper import AdaptiveAmpOptimWrapper
from dsr_nss.engine.value_checks import component_problems, section_problems


@pytest.mark.parametrize(
    'target, fields, name',
    [
        *((kind, dict(lr=-1.0), 'lr') for kind in (torch.optim.AdamW, torch.optim.Adam)),
        (torch.optim.SGD, dict(lr=0), 'lr'),
        (torch.optim.SGD, dict(momentum=1), 'momentum'),
        (IterBasedTrainLoop, dict(max_iters=0), 'max_iters'),
        (FCNHead, dict(dropout_ratio=1), 'dropout_ratio'),
        (FCNHead, dict(num_classes=0), 'num_classes'),
        (AdaptiveAmpOptimWrapper, dict(accumulative_counts=0), 'accumulative_counts'),
        (AdaptiveAmpOptimWrapper, dict(init_scale=-1), 'init_scale'),
        (AdaptiveAmpOptimWrapper, dict(dtype='fp8'), 'dtype'),
        (AdaptationLogProcessor, dict(window_size=0), 'window_size'),
    ],
)
def test_components(target, fields, name):
    (text,) = component_problems('a.b', dict(type='X', **fields), target)
    assert text.startswith(f'a.b.{name} must ')


def test_components_that_are_right():
    for target, fields in (
        (torch.optim.SGD, dict(lr=0.1, momentum=0.9, weight_decay=0)),
        (FCNHead, dict(num_classes=19, dropout_ratio=0.1)),
    ):
        assert not list(component_problems('a', fields, target))


@pytest.mark.parametrize(
    'section, name, value',
    [
        ('optim_wrapper.clip_grad', 'max_norm', 0),
        ('optim_wrapper.clip_grad', 'norm_type', -2),
        ('optim_wrapper.paramwise_cfg', 'backbone_lr_mult', -1),
        ('val_dataloader', 'batch_size', 0),
        ('test_dataloader', 'num_workers', -1),
    ],
)
def test_sections(section, name, value):
    config = {name: value}
    for part in reversed(section.split('.')):
        config = {part: config}
    (text,) = section_problems(config)
    assert text.startswith(f'{section}.{name} must ')
