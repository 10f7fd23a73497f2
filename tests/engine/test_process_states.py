"""What every process has for itself comes back to it after a resume."""

import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
import toy_adaptation
from torch import nn

from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.engine import process_states
from dsr_nss.engine.config import read_config
from dsr_nss.engine.launch import configure_run, train
from dsr_nss.engine.process_states import (
    gather_process_states,
    generator_states,
    load_process_state,
    own_buffers,
    restore_generators,
)
from dsr_nss.errors import CheckpointError
from dsr_nss.models.dsr import LongTailMemoryBank


def draws():
    return random.random(), np.random.normal(), torch.rand(2).tolist()


def test_generators_go_on_where_they_were_also_from_a_file(tmp_path):
    np.random.normal()  # leaves one normal number in store
    torch.save(dict(a=generator_states()), tmp_path / 'a.pth')
    expected = draws()
    draws()
    restore_generators(load_checkpoint_file(tmp_path / 'a.pth')['a'])
    assert draws() == expected


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.student = nn.BatchNorm1d(2)
        self.teacher = nn.BatchNorm1d(2)
        self.bank = LongTailMemoryBank(
            class_names=('road', 'train'), long_tail_classes=('train',), size=(2, 2), capacity=3
        )


def test_the_student_is_shared_and_the_rest_is_not():
    names = set(own_buffers(Model()))
    assert {'bank.images', 'bank.pushed', 'teacher.running_mean'} <= names
    assert not any(name.startswith('student.') or 'long_tail' in name for name in names)


def test_one_process_again_has_its_generators_and_nothing_to_say():
    model = Model()
    saved = dict(processes=gather_process_states(model))
    notice, generators = load_process_state('a.pth', saved, model)
    assert notice is None and generators.keys() >= {'torch', 'numpy', 'python'}
    assert load_process_state('a.pth', {}, model) == (None, None)


def test_two_banks_for_one_process_are_dealt_out_and_it_is_said():
    model, other = Model(), Model()
    for one, value in ((model, 10), (other, 20)):
        pixels = torch.full((1, 3, 2, 2), value / 255)
        one.bank.push(pixels, torch.ones(1, 2, 2, dtype=torch.int64))
    states = [dict(buffers={}, generators={}), dict(buffers=own_buffers(other), generators={})]
    notice, generators = load_process_state('a.pth', dict(processes=states), model)
    assert 'written by 2 process(es), this run has 1: the images of their banks were' in notice
    assert generators is None and model.bank.pushed == 2
    assert sorted(model.bank.images[:2, 0, 0, 0].tolist()) == [10, 20]


def holding(*values):
    """A model with an image of each value in its bank and in its teacher's statistics."""
    model = Model()
    for value in values:
        pixels = torch.full((1, 3, 2, 2), value / 255)
        model.bank.push(pixels, torch.ones(1, 2, 2, dtype=torch.int64))
    model.teacher.running_mean.fill_(values[0])
    return model


def as_rank(monkeypatch, rank, world):
    monkeypatch.setattr(process_states, 'get_rank', lambda: rank)
    monkeypatch.setattr(process_states, 'get_world_size', lambda: world)


def saved_by(*models):
    states = [
        dict(buffers=own_buffers(model), generators={'of': i}) for i, model in enumerate(models)
    ]
    states[0]['buffers'] = {}  # the first one's are in the state dict
    return dict(processes=states)


def test_every_process_gets_what_it_had(monkeypatch):
    first, second = holding(10), holding(20)
    for rank, value in enumerate((10, 20)):
        as_rank(monkeypatch, rank, 2)
        model = holding(10)  # loaded from the state dict
        notice, generators = load_process_state('a.pth', saved_by(first, second), model)
        assert notice is None and generators == {'of': rank}
        assert model.bank.images[0, 0, 0, 0] == value and model.teacher.running_mean[0] == value


def test_two_states_among_three_processes(monkeypatch):
    """Images go to one process each; statistics are taken in turn."""
    found = []
    for rank, statistics in enumerate((10, 20, 10)):
        as_rank(monkeypatch, rank, 3)
        model = holding(10, 11)
        saved = saved_by(holding(10, 11), holding(20))
        notice, generators = load_process_state('a.pth', saved, model)
        assert 'written by 2 process(es), this run has 3' in notice and generators is None
        assert model.teacher.running_mean[0] == statistics
        found.append(model.bank.images[: int(model.bank.pushed), 0, 0, 0].tolist())
    assert found == [[11], [20], [10]]


@pytest.mark.parametrize(
    'states, message',
    [
        ([], 'its processes is no list of states'),
        (7, 'its processes is no list of states'),
        ([7], 'does not hold the buffers of this model for every process'),
        ([dict(buffers={'bank.images': torch.zeros(1)}, generators={})], 'does not hold'),
        ([dict(buffers={}, generators={})] * 2, 'does not hold the buffers'),
    ],
)
def test_edited_entries_are_refused(states, message):
    with pytest.raises(CheckpointError, match=message):
        load_process_state('a.pth', dict(processes=states), Model())


def training(rank, folder, name, port, steps, resume):
    """One of two processes that train the toy in `folder/name`."""
    os.environ.update(
        MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE='2',
        LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE='2',
    )  # fmt: skip
    torch.set_num_threads(1)
    config = read_config(Path(folder) / 'toy.py')
    config.train_cfg.max_iters = 6
    config.default_hooks.checkpoint.interval = steps
    configure_run(
        config, work_dir=f'{folder}/{name}', launcher='pytorch', resume='auto' if resume else None
    )
    train(config)
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(torch.cuda.is_available(), reason='forks, which a used GPU does not survive')
def test_two_processes_resume_to_the_last_bit(tmp_path):
    (tmp_path / 'toy.py').write_text(toy_adaptation.CONFIG)
    port = 20000 + os.getpid() % 20000
    arguments = (str(tmp_path), 'whole', port, 3, False)
    mp.start_processes(training, arguments, nprocs=2, start_method='fork')
    (tmp_path / 'parts').mkdir()
    shutil.copy(tmp_path / 'whole/iter_3.pth', tmp_path / 'parts')
    arguments = (str(tmp_path), 'parts', port + 1, 3, True)
    mp.start_processes(training, arguments, nprocs=2, start_method='fork')
    whole, parts = (load_checkpoint_file(tmp_path / n / 'iter_6.pth') for n in ('whole', 'parts'))
    for name, value in whole['state_dict'].items():
        assert torch.equal(value, parts['state_dict'][name]), name
    (first, second), (_, resumed) = whole['processes'], parts['processes']
    assert first['buffers'] == {}
    bank = second['buffers']['bank.images']
    assert not torch.equal(bank, whole['state_dict']['bank.images'])
    for name, value in second['buffers'].items():
        assert torch.equal(value, resumed['buffers'][name]), name
    assert torch.equal(second['generators']['torch'], resumed['generators']['torch'])
