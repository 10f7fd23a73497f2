"""The teacher's running mean, against the float64 recurrence and by hand."""

import numpy as np
import pytest
import torch

from dsr_nss.functional.ema import copy_, ema_momentum, ema_update_
from tests.reference import ema as reference


def test_momentum_by_hand():
    # t = 1: 1 - 1/2; t = 2: 1 - 1/3; t = 998: 1 - 1/999 < 0.999; t = 999: 1 - 1/1000 = 0.999.
    assert ema_momentum(1, 0.999) == 0.5
    assert ema_momentum(2, 0.999) == pytest.approx(2 / 3, rel=1e-15)
    assert ema_momentum(998, 0.999) == pytest.approx(1 - 1 / 999, rel=1e-15)
    assert ema_momentum(998, 0.999) < 0.999
    assert ema_momentum(999, 0.999) == pytest.approx(0.999, rel=1e-15)
    assert ema_momentum(100_000, 0.999) == 0.999
    # A short run's momentum of 0.95 is reached at t = 19: 1 - 1/20.
    assert ema_momentum(18, 0.95) == pytest.approx(18 / 19, rel=1e-15)
    assert ema_momentum(20, 0.95) == 0.95


@pytest.mark.parametrize('momentum', [0.0, 0.5, 0.95, 0.999])
def test_momentum_matches_reference(momentum):
    for step in (1, 2, 3, 10, 19, 20, 998, 999, 1000, 40_000):
        assert ema_momentum(step, momentum) == pytest.approx(
            reference.momentum_at(step, momentum), rel=1e-15
        )


@pytest.mark.parametrize('step', [0, -1])
def test_steps_count_from_one(step):
    with pytest.raises(ValueError, match='from 1'):
        ema_momentum(step, 0.999)


def test_update_by_hand():
    # 0.75 x 4 + 0.25 x 8 = 5; 0.75 x (-2) + 0.25 x 2 = -1; all exact in float32.
    teacher = [torch.tensor([4.0, -2.0]), torch.tensor([[1.0]])]
    student = [torch.tensor([8.0, 2.0]), torch.tensor([[1.0]])]
    pointers = [tensor.data_ptr() for tensor in teacher]
    ema_update_(teacher, student, 0.75)
    assert teacher[0].tolist() == [5.0, -1.0]
    assert teacher[1].tolist() == [[1.0]]
    assert [tensor.data_ptr() for tensor in teacher] == pointers, 'not in place'
    assert student[0].tolist() == [8.0, 2.0], 'the student changed'


def test_first_step_is_half_student():
    # lambda_1 = 1/2: teacher 0, student 1 -> 0.5; lambda_2 = 2/3: 2/3 x 0.5 + 1/3 x 2 = 1.
    teacher = [torch.zeros(1)]
    ema_update_(teacher, [torch.ones(1)], ema_momentum(1, 0.999))
    assert teacher[0].item() == 0.5
    ema_update_(teacher, [torch.full((1,), 2.0)], ema_momentum(2, 0.999))
    assert teacher[0].item() == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(('dtype', 'rtol'), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_many_steps_match_reference(dtype, rtol):
    rng = np.random.default_rng(0)
    start, steps = rng.normal(size=(3, 5)), [rng.normal(size=(3, 5)) for _ in range(40)]
    teacher = [torch.tensor(start, dtype=dtype)]
    for t, student in enumerate(steps, start=1):
        ema_update_(teacher, [torch.tensor(student, dtype=dtype)], ema_momentum(t, 0.95))
    expected = reference.follow(steps, start, 0.95)
    np.testing.assert_allclose(teacher[0].numpy(), expected, rtol=rtol, atol=rtol * 0.1)


def test_slow_momentum_still_moves_float32():
    # 1 + 1e-3 x 1e-3: a step of 1e-6 survives in float32 (its spacing at 1 is 1.2e-7), not in
    # half precision; a teacher kept in half precision would stand still.
    teacher = [torch.ones(1)]
    ema_update_(teacher, [torch.full((1,), 1.001)], 0.999)
    assert teacher[0].dtype == torch.float32
    assert teacher[0].item() == pytest.approx(1.000001, abs=1.2e-7)
    assert teacher[0].item() > 1.0


def test_copy_takes_integers_as_they_are():
    # A counter of 7 must not become 0.5 x 7.
    teacher, student = [torch.zeros((), dtype=torch.int64)], [torch.tensor(7)]
    copy_(teacher, student)
    student[0].add_(1)
    assert teacher[0].item() == 7
    assert teacher[0].dtype == torch.int64


def test_nothing_to_follow():
    ema_update_([], [], 0.5)
    copy_([], [])


def test_no_graph_reaches_the_teacher():
    teacher = [torch.zeros(2)]
    student = [torch.ones(2, requires_grad=True)]
    ema_update_(teacher, student, 0.5)
    assert not teacher[0].requires_grad
    assert teacher[0].grad_fn is None
    assert teacher[0].tolist() == [0.5, 0.5]
