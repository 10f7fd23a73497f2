"""Which parameter is trained with which rate and decay."""

import pytest
import torch
from torch import nn

from dsr_nss.engine.optim_constructor import GroupedOptimWrapperConstructor
from dsr_nss.errors import ConfigError


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


# ---- fused kernels ------------------------------------------------------------------------------


@pytest.fixture
def as_on_cuda(monkeypatch):
    """Takes the CPU for a GPU where kernels are chosen; torch has fused ones for both."""
    monkeypatch.setattr('dsr_nss.engine.optim_constructor._on_cuda', lambda parameter: True)


def filled(seed=0):
    torch.manual_seed(seed)
    model = Adaptation()
    for parameter in model.student.parameters():
        nn.init.normal_(parameter)
    return model


def run(model, optimizer, steps, scale=None):
    """Steps with made-up gradients, multiplied by the scale that the optimiser is told."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for parameter in model.student.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator) * (scale or 1.0)
        if scale is not None:  # as `GradScaler.step` does for an optimiser that takes them
            assert optimizer._step_supports_amp_scaling
            optimizer.grad_scale = torch.tensor(scale)
            optimizer.found_inf = torch.tensor(0.0)
        optimizer.step()
        if scale is not None:
            del optimizer.grad_scale, optimizer.found_inf
    return [parameter.detach().clone() for parameter in model.student.parameters()]


def test_fused_on_a_gpu_only(as_on_cuda, monkeypatch):
    assert build(Adaptation()).defaults['fused'] is True
    assert build(Adaptation(), fused=False).defaults['fused'] is False
    assert build(Adaptation(), foreach=True).defaults['fused'] is None
    assert build(Adaptation().half()).defaults['fused'] is None
    sgd = dict(optimizer=dict(type='SGD', lr=0.1))
    assert GroupedOptimWrapperConstructor(sgd)(Adaptation()).optimizer.defaults['fused'] is None
    monkeypatch.undo()
    assert build(Adaptation()).defaults['fused'] is None


@pytest.mark.parametrize('scale', [None, 1024.0])
def test_fused_steps_are_the_plain_ones(as_on_cuda, scale):
    plain, fused = filled(), filled()
    expected = run(plain, build(plain, fused=False), 3)
    for mine, theirs in zip(run(fused, build(fused), 3, scale), expected, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize('first', [True, False])
def test_a_resumed_run_computes_as_it_is_built(as_on_cuda, first):
    model = filled()
    before = build(model, fused=first)
    run(model, before, 2)
    optimizer = build(model, fused=not first)
    optimizer.load_state_dict(before.state_dict())
    assert {group['fused'] for group in optimizer.param_groups} == {not first}
    assert before.state_dict()['param_groups'][0]['fused'] is first  # left as it was
    states = [optimizer.state[p]['step'] for p in model.student.parameters()]
    assert {float(step) for step in states} == {2.0}
    run(model, optimizer, 1, scale=None if first else 8.0)  # a plain step refuses a scale


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
@pytest.mark.parametrize('clip', [None, dict(max_norm=1.0)])
def test_fused_with_loss_scaling_on_a_gpu(clip):
    results = []
    for fused in (True, False):
        model = filled().cuda()
        optimizer = dict(type='AdamW', lr=6e-4, fused=fused)
        config = dict(type='AdaptiveAmpOptimWrapper', dtype='fp16', optimizer=optimizer)
        wrapper = GroupedOptimWrapperConstructor({**config, 'clip_grad': clip})(model)
        for _ in range(3):
            with wrapper.optim_context(model):
                loss = model.student.backbone.linear(torch.ones(2, 8, device='cuda')).square()
            wrapper.update_params(loss.float().mean())
        results.append([p.detach().clone() for p in model.student.parameters()])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs)
