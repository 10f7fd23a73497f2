"""Which training states contradict themselves. (`tools/train.py` with them: tests/end_to_end.)"""

import pytest
import torch
from torch import nn

from dsr_nss.engine.resume_checks import check_optimizer, check_training_state
from dsr_nss.errors import CheckpointError

MODEL = nn.Module()
MODEL.student = nn.Linear(1, 1)
MODEL.student.num_classes = 19
MOMENTUM = dict(momentum=0.9)
COUNTING = dict(state={0: dict(step=torch.tensor(6.0))}, param_groups=[dict(betas=(0.9, 0.999))])


def check(iteration=6, accumulated=1, optimizer=None, **state):
    optimizer = optimizer or dict(state={0: {}}, param_groups=[dict(betas=(0.9, 0.999))])
    checkpoint = dict(state_dict={}, meta=dict(iter=iteration), optimizer=optimizer, message_hub={})
    named = {name.replace('__', '.'): torch.as_tensor(value) for name, value in state.items()}
    check_training_state('a.pth', checkpoint, named, MODEL, accumulated)


def test_good_states():
    check()
    check(teacher__step=6, bank__pushed=9, bank__labels=[[0, 18, 255]])
    check(iteration=6, accumulated=4, teacher__step=1, step=6)
    check(iteration=6, accumulated=4, teacher__step=2)  # at its end a run steps once more
    check(iteration=12, accumulated=4, teacher__step=4)  # as did this one, at 10, before 12
    check(iteration=600, accumulated=2, teacher__step=600)  # it did not accumulate before
    check(iteration=3, accumulated=4, teacher__step=0)
    check(iteration=7, teacher__step=7, optimizer=COUNTING)  # half precision left out a step
    check(iteration=0, optimizer=dict(state={}, param_groups=[dict(betas=(0.9, 0.999))]))
    check(optimizer=dict(state={}, param_groups=[dict(lr=0.1, momentum=0)]))  # SGD keeps nothing


@pytest.mark.parametrize(
    'fields, message',
    [
        (dict(teacher__step=7), 'teacher.step is 7 but meta.iter is 6: they count the same steps'),
        (dict(teacher__step=0), 'teacher.step is 0 but meta.iter is 6'),
        (dict(teacher__step=5, optimizer=COUNTING), 'teacher.step is 5 but meta.iter is 6'),
        (dict(step=7), 'step is 7 but meta.iter is 6'),
        (dict(bank__pushed=-1), 'bank.pushed is -1, not a number of images'),
        (dict(bank__labels=[[0, 19, 254, 255]]), r'bank.labels holds the ids \[19, 254\]'),
        (dict(optimizer=dict(state={}, param_groups=[MOMENTUM])), 'the optimiser holds no state'),
        (dict(optimizer=[1]), 'its optimizer is no state of an optimiser'),
        (dict(optimizer=dict(param_groups=7)), 'its optimizer is no state of an optimiser'),
        (dict(iteration=-1), 'its meta.iter is -1, not a number of iterations'),
        (dict(iteration='3'), "its meta.iter is '3', not a number"),
        (dict(iteration=None), 'its meta.iter is None, not a number'),
        (dict(iteration=True), 'its meta.iter is True, not a number'),
    ],
)  # fmt: skip
def test_contradictions(fields, message):
    with pytest.raises(CheckpointError, match=f'cannot resume from a.pth: {message}'):
        check(**fields)


def test_moments():
    model = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    check_optimizer('a.pth', optimizer)
    optimizer.state[model.weight]['exp_avg'] = torch.zeros(2)
    with pytest.raises(CheckpointError, match=r'exp_avg of the optimiser has the shape \(2,\)'):
        check_optimizer('a.pth', optimizer)
