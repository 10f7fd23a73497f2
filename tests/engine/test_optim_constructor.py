"""Which parameter is trained with which rate and decay."""

import pytest
import torch
from torch import nn

from dsr_nss.engine.errors import ConfigError
from dsr_nss.engine.optim_constructor import GroupedOptimWrapperConstructor


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, 4, 8))
        self.linear = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)


class Segmentor(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = Encoder()
        self.decode_head = nn.Sequential(nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4))


class Adaptation(nn.Module):
    def __init__(self):
        super().__init__()
        self.student = Segmentor()
        self.teacher = Segmentor().requires_grad_(False)


def build(model, paramwise=None, **optimizer):
    config = dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=6e-4, weight_decay=0.01, **optimizer),
    )
    return GroupedOptimWrapperConstructor(config, paramwise)(model).optimizer


def settings(model, optimizer):
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        names[id(p)]: (pytest.approx(group['lr']), group['weight_decay'])
        for group in optimizer.param_groups
        for p in group['params']
    }


def test_rate_and_decay_of_every_parameter():
    model = Adaptation()
    optimizer = build(model)
    assert settings(model, optimizer) == {
        'student.backbone.pos_embed': (6e-5, 0.0),
        'student.backbone.linear.weight': (6e-5, 0.01),
        'student.backbone.linear.bias': (6e-5, 0.0),
        'student.backbone.norm.weight': (6e-5, 0.0),
        'student.backbone.norm.bias': (6e-5, 0.0),
        'student.decode_head.0.weight': (6e-4, 0.01),
        'student.decode_head.0.bias': (6e-4, 0.0),
        'student.decode_head.1.weight': (6e-4, 0.0),
        'student.decode_head.1.bias': (6e-4, 0.0),
    }
    assert len(optimizer.param_groups) == 4
    assert optimizer.param_groups[0]['lr'] == 6e-4  # the head's comes first: it is logged


def test_multiplier_is_a_field():
    optimizer = build(Adaptation(), dict(backbone_lr_mult=1.0))
    assert {group['lr'] for group in optimizer.param_groups} == {6e-4}


def test_model_inside_a_parallel_wrapper():
    model = Adaptation()
    wrapped = nn.Module()
    wrapped.module = model
    assert settings(model, build(wrapped)) == settings(model, build(model))


def test_all_students_parameters_are_trained_once():
    model = Adaptation()
    trained = [p for group in build(model).param_groups for p in group['params']]
    assert {id(p) for p in trained} == {id(p) for p in model.student.parameters()}
    assert len(trained) == len(list(model.student.parameters()))


@pytest.mark.parametrize('name', ['fused', 'foreach'])
def test_fast_kernels_are_reachable(name):
    assert build(Adaptation(), **{name: True}).defaults[name]


def test_unknown_field_is_named():
    with pytest.raises(ConfigError, match='backbone_lr_mul'):
        build(Adaptation(), dict(backbone_lr_mul=0.1))


def test_nothing_to_train_is_an_error():
    with pytest.raises(ConfigError, match='no parameter'):
        build(nn.Linear(2, 2).requires_grad_(False))


def test_missing_rate_is_an_error():
    config = dict(optimizer=dict(type='AdamW'))
    with pytest.raises(ConfigError, match='lr'):
        GroupedOptimWrapperConstructor(config)(Adaptation())
