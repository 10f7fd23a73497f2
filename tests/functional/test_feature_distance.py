"""Distance to the frozen encoder on the cells of things."""

import numpy as np
import pytest
import torch

from dsr_nss.functional.feature_distance import feature_distance
from tests.functional.class_sets import mask_of
from tests.reference.feature_distance import feature_distance as reference

THINGS = (1, 3)


def _case(seed=0, batch=2, dim=4, cells=(3, 4), factor=4, classes=5):
    """Most cells hold one class, a few are mixed, some pixels are ignored."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes, size=(batch, *cells))
    label = coarse.repeat(factor, axis=1).repeat(factor, axis=2)
    noisy = rng.uniform(size=label.shape) < 0.2
    label[noisy] = rng.choice([0, 1, 2, 3, 4, 255], size=int(noisy.sum()))
    return rng.normal(size=(batch, dim, *cells)), rng.normal(size=(batch, dim, *cells)), label


@pytest.mark.parametrize('min_ratio', [0.6, 0.75, 0.9])
@pytest.mark.parametrize('seed', range(3))
def test_matches_reference(seed, min_ratio):
    student, frozen, label = _case(seed)
    actual = feature_distance(
        *map(torch.tensor, (student, frozen, label)), mask_of(THINGS, 5), min_ratio=min_ratio
    )
    expected = reference(student, frozen, label, THINGS, 5, min_ratio)
    assert actual.ndim == 0
    assert actual.item() == pytest.approx(expected, rel=1e-10)


def test_float32_is_close():
    student, frozen, label = _case(3)
    actual = feature_distance(
        torch.tensor(student).float(),
        torch.tensor(frozen).float(),
        torch.tensor(label),
        mask_of(THINGS, 5),
    )
    assert actual.item() == pytest.approx(reference(student, frozen, label, THINGS, 5), rel=1e-5)


def test_half_precision_features_are_compared_in_single():
    student, frozen, label = _case(3)
    halves = [torch.tensor(x).bfloat16() for x in (1e-2 * student + 10, 1e-2 * frozen)]
    actual = feature_distance(*halves, torch.tensor(label), mask_of(THINGS, 5))
    exact = [half.double().numpy() for half in halves]
    assert actual.dtype == torch.float32
    assert actual.item() == pytest.approx(reference(*exact, label, THINGS, 5), rel=1e-5)


def test_by_hand():
    # Cells of 2 x 2 pixels, thing class 1. Cell 0: four pixels of 1 -> difference (3, 4), norm 5.
    # Cell 1: three of four, share 0.75, counts: (0, 1), norm 1. Cell 2: two of four, out. Cell 3:
    # three of class 0, out. Mean of 5 and 1 = 3. The ignored pixel of cell 1 keeps its share.
    label = torch.tensor([[[1, 1, 1, 255, 1, 1, 0, 0], [1, 1, 1, 1, 0, 0, 0, 1]]])
    student = torch.tensor(
        [[[3.0, 0.0, 9.0, 9.0]], [[4.0, 1.0, 9.0, 9.0]]], dtype=torch.float64
    ).reshape(1, 2, 1, 4)
    frozen = torch.zeros_like(student)
    assert feature_distance(student, frozen, label, mask_of((1,), 2)).item() == pytest.approx(
        3, rel=1e-12
    )
    # With a minimum of 1 only the first cell is left.
    pure = feature_distance(student, frozen, label, mask_of((1,), 2), min_ratio=1.0)
    assert pure.item() == pytest.approx(5, rel=1e-12)


def test_ignore_lowers_the_share():
    # Two of four pixels are class 1, two are ignored: share 1/2, not 1.
    label = torch.tensor([[[1, 1], [255, 255]]])
    student = torch.ones(1, 3, 1, 1, requires_grad=True)
    assert feature_distance(student, torch.zeros(1, 3, 1, 1), label, mask_of((1,), 2)).item() == 0


@pytest.mark.parametrize('label', [0, 255])
def test_empty_mask_is_zero_with_graph(label):
    student = torch.randn(2, 3, 2, 2, requires_grad=True)
    labels = torch.full((2, 8, 8), label)
    loss = feature_distance(student, torch.randn(2, 3, 2, 2), labels, mask_of(THINGS, 5))
    assert loss.item() == 0
    loss.backward()
    assert torch.equal(student.grad, torch.zeros_like(student))


def test_equal_features_have_a_finite_gradient():
    # At the start student and frozen network are the same: the norm is 0 where its slope is not
    # defined; a NaN there would end the run in its first step.
    student = torch.randn(1, 3, 2, 2).requires_grad_()
    loss = feature_distance(
        student, student.detach().clone(), torch.ones(1, 8, 8).long(), mask_of((1,), 2)
    )
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert student.grad.isfinite().all()


def test_frozen_gets_no_part_outside_the_mask():
    student, frozen, label = map(torch.tensor, _case(4))
    student.requires_grad_()
    feature_distance(student, frozen, label, mask_of(THINGS, 5)).backward()
    masked = student.grad.abs().sum(1) > 0
    assert 0 < masked.double().mean() < 1


def test_gradient():
    student, frozen, label = _case(5, batch=1, dim=3, cells=(2, 3))
    student = torch.tensor(student, requires_grad=True)
    frozen, label = torch.tensor(frozen), torch.tensor(label)
    assert torch.autograd.gradcheck(
        lambda x: feature_distance(x, frozen, label, mask_of((0, 1, 3), 5)), (student,)
    )
