"""The pixel-weighted cross-entropy."""

import math

import numpy as np
import pytest
import torch

from dsr_nss.functional.cross_entropy import weighted_cross_entropy
from tests.reference.cross_entropy import weighted_cross_entropy as reference


def _case(seed=0, batch=2, classes=5, height=3, width=4):
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(batch, classes, height, width))
    label = rng.integers(0, classes, size=(batch, height, width))
    label[rng.uniform(size=label.shape) < 0.25] = 255
    return logits, label, rng.uniform(size=label.shape)


@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('seed', range(3))
def test_matches_reference(seed, weighted):
    logits, label, weight = _case(seed)
    actual = weighted_cross_entropy(
        torch.tensor(logits), torch.tensor(label), torch.tensor(weight) if weighted else None
    )
    expected = reference(logits, label, weight if weighted else None)
    assert actual.ndim == 0
    assert actual.item() == pytest.approx(expected, rel=1e-10)


def test_float32_is_close():
    logits, label, weight = _case(4)
    actual = weighted_cross_entropy(
        torch.tensor(logits).float(), torch.tensor(label), torch.tensor(weight).float()
    )
    assert actual.dtype == torch.float32
    assert actual.item() == pytest.approx(reference(logits, label, weight), rel=1e-5)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    # The only rounding is that of the logits themselves.
    logits, label, weight = _case(8)
    logits = torch.tensor(logits).to(dtype)
    actual = weighted_cross_entropy(logits, torch.tensor(label), torch.tensor(weight).float())
    assert actual.dtype == torch.float32
    expected = reference(logits.double().numpy(), label, weight)
    assert actual.item() == pytest.approx(expected, rel=1e-5)


def test_by_hand():
    # Two classes, four pixels. Equal logits: log 2 each. Logits (log 3, 0): -log 3/4 for class 0,
    # -log 1/4 = log 4 for class 1. One pixel is ignored but counts in the mean.
    # (log 2 + log 4 + log 4/3 + 0) / 4.
    logits = torch.zeros(1, 2, 1, 4, dtype=torch.float64)
    logits[0, 0, 0, 1:] = math.log(3)
    label = torch.tensor([[[0, 1, 0, 255]]])
    expected = (math.log(2) + math.log(4) + math.log(4 / 3)) / 4
    assert weighted_cross_entropy(logits, label).item() == pytest.approx(expected, rel=1e-12)
    # Weights 1, 0.5, 0, 7: the weight of the ignored pixel does nothing.
    weight = torch.tensor([[[1.0, 0.5, 0.0, 7.0]]], dtype=torch.float64)
    expected = (math.log(2) + 0.5 * math.log(4)) / 4
    assert weighted_cross_entropy(logits, label, weight).item() == pytest.approx(
        expected, rel=1e-12
    )


def test_weight_is_not_normalised():
    # Halving every weight halves the loss: q is not divided out.
    logits, label, weight = _case(5)
    full = weighted_cross_entropy(*map(torch.tensor, (logits, label, weight)))
    half = weighted_cross_entropy(*map(torch.tensor, (logits, label, weight / 2)))
    assert half.item() == pytest.approx(full.item() / 2, rel=1e-12)


def test_other_ignore_index():
    logits, label, _ = _case(6)
    other = np.where(label == 255, 254, label)
    actual = weighted_cross_entropy(torch.tensor(logits), torch.tensor(other), ignore_index=254)
    assert actual.item() == pytest.approx(reference(logits, label), rel=1e-10)


@pytest.mark.parametrize('weighted', [False, True])
def test_all_ignored_is_zero_with_graph(weighted):
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    label = torch.full((1, 2, 2), 255)
    loss = weighted_cross_entropy(logits, label, torch.rand(1, 2, 2) if weighted else None)
    assert loss.item() == 0
    loss.backward()
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_large_logits_stay_finite():
    logits = torch.tensor([1e4, -1e4]).reshape(1, 2, 1, 1).requires_grad_()
    loss = weighted_cross_entropy(logits, torch.tensor([[[1]]]))
    loss.backward()
    assert loss.item() == pytest.approx(2e4)
    assert logits.grad.isfinite().all()


def test_gradient():
    logits, label, weight = _case(7, batch=1, classes=3, height=2, width=3)
    logits = torch.tensor(logits, requires_grad=True)
    label, weight = torch.tensor(label), torch.tensor(weight)
    assert torch.autograd.gradcheck(lambda x: weighted_cross_entropy(x, label), (logits,))
    assert torch.autograd.gradcheck(lambda x: weighted_cross_entropy(x, label, weight), (logits,))
