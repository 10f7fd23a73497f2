"""Mixed precision on CPU and GPU."""

import pytest
import torch
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn

from dsr_nss.engine.optim_wrapper import AdaptiveAmpOptimWrapper
from dsr_nss.errors import ConfigError

DEVICES = ['cpu'] + (['cuda'] if torch.cuda.is_available() else [])


def make(device='cpu', **kwargs):
    torch.manual_seed(0)
    model = nn.Linear(8, 4).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, AdaptiveAmpOptimWrapper(optimizer=optimizer, **kwargs)


def step(model, wrapper, data):
    with wrapper.optim_context(model):
        output = model(data)
    wrapper.update_params(output.float().square().mean())
    return output


@pytest.mark.parametrize('device', DEVICES)
def test_bf16_computes_in_bf16_and_keeps_weights_in_float32(device):
    model, wrapper = make(device)
    before = model.weight.detach().clone()
    output = step(model, wrapper, torch.ones(2, 8, device=device))
    assert output.dtype is torch.bfloat16
    assert model.weight.dtype is torch.float32
    assert not torch.equal(before, model.weight)
    assert wrapper.loss_scaler is None
    assert 'loss_scaler' not in wrapper.state_dict()


def test_registered_by_name():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    wrapper = OPTIM_WRAPPERS.build(
        dict(type='AdaptiveAmpOptimWrapper', dtype='bf16', optimizer=optimizer)
    )
    assert wrapper.dtype is torch.bfloat16


def test_fp16_on_cpu_is_a_clear_error():
    with pytest.raises(ConfigError, match='float16 needs a CUDA GPU.*bf16'):
        make(dtype='float16')


def test_unknown_dtype_is_named():
    with pytest.raises(ConfigError, match="got 'int8'"):
        make(dtype='int8')


def test_accumulated_steps_equal_one_large_step():
    torch.manual_seed(1)
    data = torch.randn(4, 8)
    whole, wrapper = make()
    step(whole, wrapper, data)
    parts, wrapper = make(accumulative_counts=2)
    start = parts.weight.detach().clone()
    step(parts, wrapper, data[:2])
    assert torch.equal(parts.weight, start)
    step(parts, wrapper, data[2:])
    torch.testing.assert_close(parts.weight, whole.weight, rtol=0, atol=1e-4)
    assert not torch.equal(parts.weight, start)


def test_gradient_clipping_bounds_the_update():
    model, wrapper = make(clip_grad=dict(max_norm=1e-3))
    before = [p.detach().clone() for p in model.parameters()]
    step(model, wrapper, 100 * torch.ones(2, 8))
    change = sum((p - q).square().sum() for p, q in zip(model.parameters(), before, strict=True))
    assert change.sqrt().item() == pytest.approx(0.1 * 1e-3, rel=1e-3)


def test_state_of_bf16_run_round_trips():
    model, wrapper = make()
    step(model, wrapper, torch.ones(2, 8))
    _, other = make()
    other.load_state_dict(wrapper.state_dict())


@pytest.mark.skipif(not torch.cuda.is_available(), reason='float16 needs a GPU')
def test_fp16_scales_skips_overflow_and_round_trips():
    model, wrapper = make('cuda', dtype='fp16')
    output = step(model, wrapper, torch.ones(2, 8, device='cuda'))
    assert output.dtype is torch.float16
    before = model.weight.detach().clone()
    scale = wrapper.loss_scaler.get_scale()
    with wrapper.optim_context(model):
        loss = model(torch.full((2, 8), 60000.0, device='cuda')).float().square().sum()
    wrapper.update_params(loss * float('inf'))
    assert torch.equal(before, model.weight)
    assert wrapper.loss_scaler.get_scale() < scale
    state = wrapper.state_dict()
    _, other = make('cuda', dtype='fp16')
    other.load_state_dict(state)
    assert other.loss_scaler.get_scale() == wrapper.loss_scaler.get_scale()
    _, plain = make('cuda')
    plain.load_state_dict(wrapper.state_dict())  # a run may change its precision
