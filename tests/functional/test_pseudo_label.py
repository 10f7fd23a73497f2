"""Arg-max, confidence and the share of confident pixels."""

import numpy as np
import pytest
import torch

from dsr_nss.functional.pseudo_label import confident_share, pseudo_label
from tests.reference import pseudo_label as reference


def test_matches_reference():
    # Refined predictions do not sum to one: random non-negative numbers, taken as they are.
    prob = np.random.default_rng(0).uniform(size=(2, 5, 3, 4))
    label, confidence = pseudo_label(torch.tensor(prob))
    expected_label, expected = reference.pseudo_label(prob)
    assert label.dtype == torch.int64
    assert label.shape == confidence.shape == (2, 3, 4)
    np.testing.assert_array_equal(label.numpy(), expected_label)
    np.testing.assert_array_equal(confidence.numpy(), expected)


def test_by_hand():
    prob = torch.tensor([[0.2, 0.9], [0.7, 0.6]]).reshape(1, 2, 1, 2)
    label, confidence = pseudo_label(prob)
    assert label.tolist() == [[[1, 0]]]
    assert confidence.tolist() == [[[pytest.approx(0.7), pytest.approx(0.9)]]]


def test_share_by_hand():
    # 3 of 8 reach 0.968; exactly the threshold counts. One number for both images together.
    values = [0.968, 0.967, 0.99, 0.1, 1.0, 0.5, 0.5, 0.2]
    confidence = torch.tensor(values, dtype=torch.float64).reshape(2, 2, 2)
    share = confident_share(confidence, 0.968)
    assert share.ndim == 0
    assert share.item() == 0.375


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
def test_share_matches_reference(dtype):
    confidence = np.random.default_rng(1).uniform(size=(2, 9, 11))
    for threshold in (0.0, 0.3, 0.968, 1.5):
        share = confident_share(torch.tensor(confidence, dtype=dtype), threshold)
        expected = reference.confident_share(confidence, threshold)
        assert share.item() == pytest.approx(expected, rel=1e-6)


def test_share_of_a_large_map_is_exact():
    # Half precision counts no further than 2,048 and holds 1/3 only to 1e-4.
    confidence = torch.ones(1, 300, 300, dtype=torch.float16)
    confidence[:, :200] = 0
    assert confident_share(confidence, 0.968).item() == pytest.approx(1 / 3, rel=1e-6)


def test_share_carries_no_graph():
    confidence = torch.rand(1, 4, 4, requires_grad=True)
    assert not confident_share(confidence, 0.5).requires_grad
