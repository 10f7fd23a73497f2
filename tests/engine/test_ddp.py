"""Two processes train DSR-NSS as one with both batches would, on the CPU."""

import os
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from dsr_nss.engine.ddp import AdaptationDDP
from dsr_nss.engine.runner import AdaptationRunner
from tests.models.segmentors.conftest import build, dsr_config, make_items
from tests.models.segmentors.networks import deeplabv2_config

STEPS = 3
LR = 0.01


def make_model() -> nn.Module:
    """The whole method; batch norms in encoder, prototypes and a paste from the second step on."""
    init_default_scope('mmseg')
    config = dsr_config(student=deeplabv2_config(width=8), confidence_threshold=0.06)
    return build({**config, 'alignment': dict(config['alignment'], start=2)})


def batch(step: int, rank: int) -> dict:
    items = make_items(seed=2 * step + rank)
    items['source_label'][0, :, :32] = 13  # a car fills cells of the feature distance
    return items


def seed(step: int, rank: int) -> None:
    torch.manual_seed(10 * rank + step)


def worker(rank: int, folder: str, port: int) -> None:
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', rank=rank, world_size=2)
    model = AdaptationDDP(make_model(), device_ids=[rank])
    parameters = [p for p in model.parameters() if p.requires_grad]
    wrapper = OptimWrapper(torch.optim.SGD(parameters, lr=LR))
    for step in range(STEPS):
        seed(step, rank)
        log = model.train_step(batch(step, rank), wrapper)
    numbers = {name: value.item() for name, value in log.items()}
    torch.save((model.module.state_dict(), numbers), Path(folder) / f'{rank}.pth')
    torch.distributed.destroy_process_group()


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """State dict and last numbers of each process."""
    folder = tmp_path_factory.mktemp('ddp')
    port = 20000 + os.getpid() % 20000
    # a fork saves both processes the imports, but not beside a GPU that was used already
    method = 'spawn' if torch.cuda.is_available() else 'fork'
    mp.start_processes(worker, (str(folder), port), nprocs=2, start_method=method)
    return [torch.load(folder / f'{rank}.pth') for rank in range(2)]


@pytest.fixture(scope='module')
def states(trained):
    return [state for state, _ in trained]


def test_every_part_took_part(trained):
    for state, log in trained:
        for name in ('loss_source', 'loss_mixed', 'loss_proto', 'loss_feature_distance'):
            assert log[name] > 0, name
        assert log['pseudo_weight'] > 0
        assert state['teacher.step'] == STEPS and state['bank.pushed'] == 2 * STEPS


def test_students_and_teachers_agree(states):
    """Weights and running statistics, although the batches differ."""
    first, second = states
    for name in first:
        if name.startswith(('student.', 'teacher.', 'feature_distance.')):
            assert torch.equal(first[name], second[name]), name


def test_the_students_moved_and_the_teacher_followed(states):
    start, (state, _) = make_model().state_dict(), states
    names = [name for name in start if name.startswith('student.')]
    assert any(name.endswith('running_var') for name in names)
    for name in names:
        # the factors of norms are near 1, where float32 cannot hold so small a step
        if start[name].ndim > 1 or name.endswith(('running_mean', 'running_var')):
            teacher = state['teacher.model.' + name.removeprefix('student.')]
            assert not torch.equal(state[name], start[name]), name
            assert not torch.equal(teacher, start[name]), name
            assert not torch.equal(teacher, state[name]), name


def test_every_process_keeps_its_own_bank(states):
    assert not torch.equal(states[0]['bank.images'], states[1]['bank.images'])


def test_gradients_and_statistics_are_averaged(states):
    """By hand: both processes' gradients of each step, averaged, in one process."""
    models = [make_model(), make_model()]
    for step in range(STEPS):
        for rank, model in enumerate(models):
            seed(step, rank)
            model.zero_grad()
            losses = model(model.data_preprocessor(batch(step, rank), training=True), mode='loss')
            model.parse_losses(losses)[0].backward()
        students = [model.student for model in models]
        for pair in zip(*(student.parameters() for student in students), strict=True):
            mean = (pair[0].grad + pair[1].grad) / 2
            for parameter in pair:
                parameter.data -= LR * mean
        for pair in zip(*(student.buffers() for student in students), strict=True):
            if pair[0].is_floating_point():
                mean = (pair[0] + pair[1]) / 2
                for buffer in pair:
                    buffer.copy_(mean)
        for model in models:
            model.after_step()
    for state, model in zip(states, models, strict=True):
        expected = model.state_dict()
        assert state.keys() == expected.keys()
        for name, value in state.items():
            torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    'wrapper, switch, made',
    [
        (None, {}, dict(type='AdaptationDDP')),
        (dict(type='Other'), {}, dict(type='Other')),
        (None, dict(find_unused_parameters=True), dict(find_unused_parameters=True)),
        (dict(static_graph=True), dict(find_unused_parameters=True),
         dict(static_graph=True, find_unused_parameters=True)),
        (dict(find_unused_parameters=False), dict(find_unused_parameters=True),
         dict(find_unused_parameters=False)),
    ],
)  # fmt: skip
def test_the_switch_for_unused_parameters_reaches_the_wrapper(wrapper, switch, made, monkeypatch):
    monkeypatch.setattr(Runner, 'wrap_model', lambda self, wrapper, model: wrapper)
    runner = AdaptationRunner.__new__(AdaptationRunner)
    runner._distributed, runner.cfg = True, switch
    assert runner.wrap_model(wrapper, nn.Linear(1, 1)) == {'type': 'AdaptationDDP', **made}
