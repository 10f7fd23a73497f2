"""Label shares, class prototypes and class weights [8], [12]."""

import numpy as np
import pytest
import torch

from dsr_nss.functional.prototypes import (
    class_weights,
    label_shares,
    nearest_labels,
    prototypes,
)
from tests.reference import prototypes as reference

CLASSES = 5


def random_labels(seed=0, batch=2, height=8, width=12, classes=CLASSES, ignored=0.2):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, size=(batch, height, width))
    label[rng.uniform(size=label.shape) < ignored] = 255
    return label


def _features(seed=0, batch=2, dim=4, size=(2, 3)):
    """Random features and the shares of a random label that lacks class 3."""
    label = random_labels(seed, batch)
    label[label == 3] = 0
    features = np.random.default_rng(seed + 100).normal(size=(batch, dim, *size))
    return features, reference.label_shares(label, size, CLASSES)


# --- label shares -------------------------------------------------------------------------------


@pytest.mark.parametrize('size', [(2, 3), (4, 4), (8, 12), (1, 1), (3, 5)])
def test_shares_match_reference(size):
    label = random_labels()
    actual = label_shares(torch.tensor(label), size, CLASSES)
    expected = reference.label_shares(label, size, CLASSES)
    # A share is a ratio of small counts: exact up to float32.
    np.testing.assert_allclose(actual.double().numpy(), expected, rtol=0, atol=2e-7)


def test_shares_by_hand():
    # Two cells of 2 x 2: (1, 1, 0, ignore) -> 1/4 of class 0, 1/2 of class 1; all ignored -> 0.
    label = torch.tensor([[[1, 1, 255, 255], [0, 255, 255, 255]]])
    shares = label_shares(label, (1, 2), 3)
    assert shares.shape == (1, 3, 1, 2)
    assert shares[0, :, 0].tolist() == [[0.25, 0], [0.5, 0], [0, 0]]


def test_a_thin_pole_keeps_its_share():
    # One column of 16 in a cell: nearest or majority labels would lose it.
    label = torch.zeros(1, 16, 16, dtype=torch.long)
    label[:, :, 3] = 2
    assert label_shares(label, (1, 1), 3).flatten().tolist() == [15 / 16, 0, 1 / 16]


def test_shares_of_ignored_labels_are_zero():
    assert not label_shares(torch.full((2, 4, 4), 255), (2, 2), 19).any()


# --- prototypes ---------------------------------------------------------------------------------


@pytest.mark.parametrize('seed', range(3))
def test_prototypes_match_reference(seed):
    features, shares = _features(seed)
    actual = prototypes(torch.tensor(features), torch.tensor(shares))
    expected = reference.prototypes(features, shares)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-10, atol=1e-13)
    assert not expected[3].any()


def test_prototypes_by_hand():
    # Two images of one cell each, features (1, 0) and (0, 1). Class 0: shares 1/4 and 3/4 ->
    # (1/4, 3/4). Class 1: shares 1/2 and 0 -> (1, 0). Class 2: absent -> 0, not NaN.
    features = torch.eye(2, dtype=torch.float64).reshape(2, 2, 1, 1)
    shares = torch.tensor([[0.25, 0.5, 0], [0.75, 0, 0]], dtype=torch.float64).reshape(2, 3, 1, 1)
    assert prototypes(features, shares).tolist() == [[0.25, 0.75], [1, 0], [0, 0]]


def test_prototype_of_a_tiny_share_is_not_shrunk():
    # One pixel of a 64 x 64 cell: share 2.4e-4. The prototype is still the feature itself.
    features = torch.full((1, 2, 1, 1), 3.0, dtype=torch.float64)
    shares = torch.full((1, 1, 1, 1), 1 / 4096, dtype=torch.float64)
    torch.testing.assert_close(
        prototypes(features, shares), torch.full((1, 2), 3.0).double(), rtol=1e-12, atol=0
    )


def test_prototypes_of_nothing_are_finite_with_a_finite_gradient():
    features = torch.randn(2, 3, 2, 2, requires_grad=True)
    result = prototypes(features, torch.zeros(2, 4, 2, 2))
    assert torch.equal(result, torch.zeros(4, 3))
    result.sum().backward()
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_prototypes_gradient():
    features, shares = map(torch.tensor, _features(1))
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: prototypes(f, shares), (features,))


# --- class weights ------------------------------------------------------------------------------


def test_weights_by_hand():
    # Overlap: classes 0, 1, 3, 5, so s = 4; 3 and 5 are long-tail: (4 + 1) / 4 or 4 + 1/4.
    # 2 is long-tail but only in a, 4 in neither, 6 only in b.
    in_a = torch.tensor([True, True, True, True, False, True, False])
    in_b = torch.tensor([True, True, False, True, False, True, True])
    long_tail = torch.tensor([False, False, True, True, True, True, False])
    weight, overlap = class_weights(in_a, in_b, long_tail)
    assert weight.tolist() == [1, 1, 0, 1.25, 0, 1.25, 0]
    assert overlap.dtype == torch.bool
    assert overlap.tolist() == [True, True, False, True, False, True, False]
    literal, _ = class_weights(in_a, in_b, long_tail, form='literal')
    assert literal.tolist() == [1, 1, 0, 4.25, 0, 4.25, 0]
    none, _ = class_weights(in_a, in_b, long_tail, form='none')
    assert none.tolist() == [1, 1, 0, 1, 0, 1, 0]


def test_single_overlapping_long_tail_class_by_hand():
    # s = 1: (1 + 1) / 1 = 1 + 1/1 = 2.
    one = torch.tensor([True])
    for form in ('ratio', 'literal'):
        assert class_weights(one, one, one, form=form)[0].tolist() == [2]


@pytest.mark.parametrize('form', ['ratio', 'literal', 'none'])
def test_weights_match_reference(form):
    rng = np.random.default_rng(0)
    for _ in range(20):
        in_a, in_b, long_tail = rng.uniform(size=(3, 19)) < rng.uniform(size=(3, 1))
        weight, overlap = class_weights(*map(torch.tensor, (in_a, in_b, long_tail)), form=form)
        expected, expected_overlap = reference.class_weights(in_a, in_b, long_tail, form)
        np.testing.assert_allclose(weight.double().numpy(), expected, rtol=1e-6)
        np.testing.assert_array_equal(overlap.numpy(), expected_overlap)


@pytest.mark.parametrize('form', ['ratio', 'literal'])
def test_weights_without_overlap_are_zero(form):
    in_a = torch.tensor([True, False, False])
    weight, overlap = class_weights(in_a, ~in_a, torch.ones(3, dtype=torch.bool), form=form)
    assert weight.tolist() == [0, 0, 0]
    assert not overlap.any()


def test_unknown_form_is_refused():
    one = torch.tensor([True])
    with pytest.raises(ValueError, match='ratio'):
        class_weights(one, one, one, form='square')


@pytest.mark.parametrize('size', [(2, 3), (3, 5), (8, 12)])
def test_nearest_labels_match_reference(size):
    label = np.random.default_rng(0).choice([0, 1, 2, 3, 255], (2, 8, 12))
    actual = nearest_labels(torch.tensor(label), size, 4)
    np.testing.assert_array_equal(actual.numpy(), reference.nearest_labels(label, size, 4))
    assert (actual.sum(dim=1) <= 1).all() and not (actual.sum(dim=1) == 1).all()
