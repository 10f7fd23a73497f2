"""`torch.compile` and activation checkpointing change how a step is computed, not what."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper

from dsr_nss.engine.runner import AdaptationRunner
from dsr_nss.errors import ConfigError
from dsr_nss.models.backbones import MiT
from tests.models.segmentors.conftest import HEAD, STUDENT, build, dsr_config, make_items


def step(model) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """The losses of a training step and the gradients that it left."""
    wrapper = OptimWrapper(torch.optim.SGD(model.student.parameters(), lr=0.0))
    wrapper.zero_grad = lambda **kwargs: None
    torch.manual_seed(5)
    log = model.train_step(make_items(), wrapper)
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return {name: float(value) for name, value in log.items()}, gradients


def assert_same(ours, plain, rtol: float) -> None:
    losses, gradients = zip(ours, plain, strict=True)
    assert losses[0] == pytest.approx(losses[1], rel=rtol)
    assert gradients[0].keys() == gradients[1].keys() and len(gradients[0]) > 50
    largest = max(float(g.abs().max()) for g in gradients[1].values())
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(
            gradient, gradients[1][name], rtol=rtol, atol=rtol * largest, msg=name
        )


def test_compiled_networks_give_the_same_step_without_a_graph_break():
    plain = build(dsr_config(feature_distance=None))
    compiled = build(dsr_config(feature_distance=None))
    names = set(compiled.state_dict())
    # traced as for the real compiler; making kernels would take minutes
    compiled.compile_networks(backend='aot_eager', fullgraph=True)
    assert set(compiled.state_dict()) == names
    assert_same(step(compiled), step(plain), rtol=1e-5)


@pytest.mark.parametrize('kind', ['HRDAEncoderDecoder', 'AdaptableEncoderDecoder'])
def test_a_step_runs_all_that_is_compiled(kind, monkeypatch):
    """Of student and teacher; mmseg goes around a compiled head."""
    head = STUDENT['decode_head'] if kind == 'HRDAEncoderDecoder' else HEAD
    model = build(dsr_config(student=dict(STUDENT, type=kind, decode_head=head)))
    calls = set()

    def compile_(function, **options):
        def called(*args, **kwargs):
            calls.add((id(function.__self__), torch.is_grad_enabled()))
            return function(*args, **kwargs)

        return called

    monkeypatch.setattr(torch, 'compile', compile_)
    model.compile_networks()
    step(model)
    for part in model.student.compilable():
        assert (id(part), True) in calls
    for part in model.teacher.model.compilable():
        assert (id(part), False) in calls


def test_checkpointed_blocks_give_the_same_step():
    encoder = dict(STUDENT['backbone'], with_cp=True)
    checkpointed = build(dsr_config(student=dict(STUDENT, backbone=encoder)))
    assert_same(step(checkpointed), step(build(dsr_config())), rtol=1e-6)


def test_checkpointing_keeps_less():
    kept = []
    for with_cp in (False, True):
        encoder = MiT('b0', with_cp=with_cp).train()
        sizes = []

        def pack(tensor: torch.Tensor, sizes=sizes) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            encoder(torch.rand(1, 3, 64, 64))
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 3


def test_the_config_field_compiles_the_parts_of_the_step():
    runner = AdaptationRunner.__new__(AdaptationRunner)
    model = build(dsr_config())
    calls = []
    model.compile_networks = lambda **options: calls.append(options)
    runner.model = model
    runner.logger = type('Log', (), {'info': lambda *args: None})()
    for setting, expected in (
        (None, []),
        (False, []),
        (True, [{}]),
        ({'mode': 'x'}, [{'mode': 'x'}]),
    ):
        calls.clear()
        runner.cfg = Config(dict(compile=setting))
        runner._maybe_compile('train_step')
        assert calls == expected
    runner.model = torch.nn.Linear(1, 1)
    with pytest.raises(ConfigError, match='a Linear cannot be compiled'):
        runner._maybe_compile('train_step')
