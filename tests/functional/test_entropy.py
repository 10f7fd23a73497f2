"""Entropy relative to log C."""

import math

import numpy as np
import pytest
import torch

from dsr_nss.functional.entropy import normalized_entropy
from tests.reference.entropy import normalized_entropy as reference
from tests.reference.softmax import softmax


def _prob(shape=(2, 5, 3, 4), scale=3.0, seed=0):
    return softmax(scale * np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize('classes', [2, 5, 19])
def test_matches_reference(classes):
    prob = _prob((2, classes, 3, 4))
    actual = normalized_entropy(torch.tensor(prob))
    assert actual.shape == (2, 3, 4)
    assert actual.dtype == torch.float64
    np.testing.assert_allclose(actual.numpy(), reference(prob), rtol=1e-10)


def test_float32_is_close():
    prob = _prob()
    actual = normalized_entropy(torch.tensor(prob, dtype=torch.float32))
    assert actual.dtype == torch.float32
    np.testing.assert_allclose(actual.numpy(), reference(prob), rtol=1e-5, atol=1e-6)


def test_by_hand():
    # Uniform over 4: log 4 / log 4 = 1. One-hot: 0. (1/2, 1/2, 0, 0): log 2 / log 4 = 1/2.
    # (1/2, 1/4, 1/4, 0): (1/2 log 2 + 1/2 log 4) / log 4 = 1/4 + 1/2 = 3/4.
    prob = torch.tensor(
        [[0.25, 0.25, 0.25, 0.25], [1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.5, 0.25, 0.25, 0]],
        dtype=torch.float64,
    )
    actual = normalized_entropy(prob.T.reshape(1, 4, 2, 2))
    expected = torch.tensor([1.0, 0.0, 0.5, 0.75], dtype=torch.float64).reshape(1, 2, 2)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_zero_probability_is_finite():
    prob = torch.zeros(1, 3, 1, 2)
    prob[:, 0] = 1
    assert normalized_entropy(prob).tolist() == [[[0.0, 0.0]]]


def test_tiny_probability_in_float32():
    # p = 1e-30 contributes 1e-30 x 69: nothing, but never NaN.
    prob = torch.tensor([1.0, 1e-30]).reshape(1, 2, 1, 1)
    value = normalized_entropy(prob).item()
    assert math.isfinite(value)
    assert value == pytest.approx(0, abs=1e-6)


def test_gradient():
    prob = torch.tensor(_prob((1, 4, 2, 2), scale=1.0), requires_grad=True)
    assert torch.autograd.gradcheck(normalized_entropy, (prob,))
