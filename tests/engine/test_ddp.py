"""Two processes train as one with the joined batch would, on the CPU."""

import os
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from toy_adaptation import ToyDataset

from dsr_nss.engine.ddp import AdaptationDDP


def make_model():
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(
        dict(type='ToyAdaptation', data_preprocessor=dict(type='AdaptationPreprocessor'))
    )
    model.student.backbone[1].momentum = 0.0  # batch norms see other batches: keep them still
    model.student.backbone[1].eval()
    return model


def batch(numbers):
    return torch.utils.data.default_collate([ToyDataset()[n] for n in numbers])


def train(model, numbers_of_step, noise_seed):
    optimizer = OptimWrapper(
        torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    )
    for step, numbers in enumerate(numbers_of_step):
        torch.manual_seed(noise_seed + step)
        model.train_step(batch(numbers), optimizer)


def worker(rank: int, folder: str, port: int) -> None:
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', rank=rank, world_size=2)
    model = AdaptationDDP(make_model(), device_ids=[rank])
    train(model, [[rank], [2 + rank], [4 + rank]], noise_seed=10 * rank)
    torch.save(model.module.state_dict(), Path(folder) / f'{rank}.pth')
    moving = make_model()
    moving.student.backbone[1].momentum = 0.1
    moving.student.backbone[1].train()
    moving = AdaptationDDP(moving, device_ids=[rank])
    train(moving, [[rank], [2 + rank]], noise_seed=10 * rank)
    torch.save(moving.module.state_dict(), Path(folder) / f'moving_{rank}.pth')
    torch.distributed.destroy_process_group()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ddp')
    port = 20000 + os.getpid() % 20000
    mp.spawn(worker, (str(folder), port), nprocs=2)
    return folder


@pytest.fixture(scope='module')
def states(folder):
    return [torch.load(folder / f'{rank}.pth') for rank in range(2)]


def test_running_statistics_agree_although_the_batches_differ(folder):
    first, second = (torch.load(folder / f'moving_{rank}.pth') for rank in range(2))
    for name in ('backbone.1.running_mean', 'backbone.1.running_var'):
        assert torch.equal(first[f'student.{name}'], second[f'student.{name}'])
        assert torch.equal(first[f'teacher.model.{name}'], second[f'teacher.model.{name}'])
        assert not torch.equal(
            first[f'student.{name}'], make_model().state_dict()[f'student.{name}']
        )


def test_students_and_teachers_agree(states):
    first, second = states
    for name in first:
        if name.startswith(('student.', 'teacher.')):
            assert torch.equal(first[name], second[name]), name
    assert first['teacher.step'] == 3


def test_the_students_moved_and_the_teacher_followed(states):
    start = make_model().state_dict()
    name = 'student.decode_head.weight'
    assert not torch.equal(states[0][name], start[name])
    teacher = states[0]['teacher.model.decode_head.weight']
    assert not torch.equal(teacher, start[name])
    assert not torch.equal(teacher, states[0][name])


def test_every_process_keeps_its_own_bank(states):
    assert not torch.equal(states[0]['bank.images'], states[1]['bank.images'])


def test_gradients_are_averaged(states):
    """By hand: both processes' gradients of each step, averaged, in one process."""
    models = [make_model(), make_model()]
    for step in range(3):
        for rank, model in enumerate(models):
            torch.manual_seed(10 * rank + step)
            model.zero_grad()
            model.parse_losses(
                model(model.data_preprocessor(batch([2 * step + rank]), training=True))
            )[0].backward()
        for ours, theirs in zip(
            models[0].student.parameters(), models[1].student.parameters(), strict=True
        ):
            mean = (ours.grad + theirs.grad) / 2
            for parameter in (ours, theirs):
                parameter.data -= 0.1 * mean
        for model in models:
            model.after_step()
    for name, expected in models[0].student.named_parameters():
        torch.testing.assert_close(states[0][f'student.{name}'], expected.detach())
