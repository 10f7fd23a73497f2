"""One term of the alignment loss [9]-[11] and the sum of both directions [13]."""

import math

import numpy as np
import pytest
import torch

from dsr_nss.functional.prototypes import alignment_loss, class_weights, label_shares, prototypes
from tests.functional.test_prototypes import CLASSES, random_labels
from tests.reference import prototypes as reference


def _case(seed=0, batch=2, dim=4, size=(2, 3)):
    """Features and shares of one image pair; class 4 is only in a, class 3 only in b."""
    rng = np.random.default_rng(seed + 100)
    label_a, label_b = random_labels(seed, batch), random_labels(seed + 50, batch)
    label_a[label_a == 3] = 0
    label_b[label_b == 4] = 1
    shares_a = reference.label_shares(label_a, size, CLASSES)
    shares_b = reference.label_shares(label_b, size, CLASSES)
    weight, overlap = reference.class_weights(
        shares_a.sum((0, 2, 3)) > 0,
        shares_b.sum((0, 2, 3)) > 0,
        np.array([False, False, True, True, True]),
    )
    return {
        'features_a': rng.normal(size=(batch, dim, *size)),
        'features_b': rng.normal(size=(batch, dim, *size)),
        'shares_a': shares_a,
        'shares_b': shares_b,
        'weight': weight,
        'overlap': overlap,
    }


def _tensors(case, dtype=torch.float64):
    return {
        name: torch.tensor(value, dtype=torch.bool if value.dtype == bool else dtype)
        for name, value in case.items()
    }


def _a_to_b(case, tau=0.1, absent='drop', dtype=torch.float64):
    t = _tensors(case, dtype)
    return alignment_loss(
        t['features_a'],
        t['shares_a'],
        prototypes(t['features_b'], t['shares_b']),
        t['weight'],
        t['overlap'],
        tau,
        absent=absent,
    )


@pytest.mark.parametrize('absent', ['drop', 'zero', 'kept'])
@pytest.mark.parametrize('tau', [0.1, 1.0])
@pytest.mark.parametrize('seed', range(3))
def test_loss_matches_reference(seed, tau, absent):
    case = _case(seed)
    assert case['overlap'].sum() == 3
    loss, share = _a_to_b(case, tau, absent)
    expected, expected_share = reference.alignment_loss(
        case['features_a'],
        case['shares_a'],
        reference.prototypes(case['features_b'], case['shares_b']),
        case['weight'],
        case['overlap'],
        tau,
        absent,
    )
    assert loss.ndim == 0
    assert float(loss) == pytest.approx(expected, rel=1e-10)
    assert float(share) == pytest.approx(expected_share, rel=1e-6)


def test_loss_float32_is_close():
    case = _case(4)
    expected = float(_a_to_b(case)[0])
    assert float(_a_to_b(case, dtype=torch.float32)[0]) == pytest.approx(expected, rel=1e-5)


def _by_hand(absent):
    """Two cells, three classes, tau = 1, prototypes along the axes; class 2 does not overlap.

    Cell 0 has the feature (2, 0, 0) and is of class 0 alone: S = (1, 0). Cell 1 has (0, 5, 0), half
    of it is class 1, a quarter class 2, a quarter ignored: S = (0, 1). With W = (1, 1.5, 0) the
    similarities of cell 1 become (0, 1.5).
    """
    features = torch.tensor([[2.0, 0], [0, 5.0], [0, 0]], dtype=torch.float64).reshape(1, 3, 1, 2)
    shares = torch.tensor([[1, 0], [0, 0.5], [0, 0.25]], dtype=torch.float64).reshape(1, 3, 1, 2)
    weight = torch.tensor([1, 1.5, 0], dtype=torch.float64)
    overlap = torch.tensor([True, True, False])
    axes = torch.eye(3, dtype=torch.float64)
    return alignment_loss(features, shares, axes, weight, overlap, 1.0, absent=absent)


def test_drop_by_hand():
    # -log softmax: cell 0: log(e + 1) - 1; cell 1: log(1 + e^1.5) - 1.5, weight 1/2.
    # Mean over 1 + 1/2. The labelled weight is 1.75, of which 1.5 took part.
    loss, share = _by_hand('drop')
    first, second = math.log(math.e + 1) - 1, math.log(1 + math.exp(1.5)) - 1.5
    assert float(loss) == pytest.approx((first + 0.5 * second) / 1.5, rel=1e-12)
    assert float(share) == pytest.approx(1.5 / 1.75, rel=1e-6)


def test_zero_by_hand():
    # Class 2 stays a candidate with S = 0: one more e^0 in each sum, and the quarter of cell 1
    # that carries it counts with log(2 + e^1.5) - 0. Everything labelled takes part.
    loss, share = _by_hand('zero')
    first, second = math.log(math.e + 2) - 1, math.log(2 + math.exp(1.5))
    expected = (first + 0.5 * (second - 1.5) + 0.25 * second) / 1.75
    assert float(loss) == pytest.approx(expected, rel=1e-12)
    assert float(share) == pytest.approx(1, rel=1e-6)


def test_kept_by_hand():
    # Class 2 stays a candidate with its own cosine, 0 for both cells, W = 1, and its quarter of
    # cell 1 takes no part: the sums of 'zero', the cells of 'drop'.
    loss, share = _by_hand('kept')
    first, second = math.log(math.e + 2) - 1, math.log(2 + math.exp(1.5)) - 1.5
    assert float(loss) == pytest.approx((first + 0.5 * second) / 1.5, rel=1e-12)
    assert float(share) == pytest.approx(1.5 / 1.75, rel=1e-6)


def test_kept_gives_a_class_without_prototype_the_lowest_similarity():
    # Two classes with prototypes along the axes, a third with none: S = (1, 0, -1) at tau 1.
    features = torch.tensor([1.0, 0], dtype=torch.float64).reshape(1, 2, 1, 1)
    shares = torch.tensor([1.0, 0, 0], dtype=torch.float64).reshape(1, 3, 1, 1)
    rho = torch.tensor([[1.0, 0], [0, 1], [0, 0]], dtype=torch.float64)
    overlap = torch.tensor([True, True, False])
    weight = overlap.double()
    loss, _ = alignment_loss(features, shares, rho, weight, overlap, 1.0, absent='kept')
    assert float(loss) == pytest.approx(math.log(math.e + 1 + 1 / math.e) - 1, rel=1e-12)


def test_tau_divides():
    # Cosines 1 and 0, tau 0.1: S = (10, 0): loss log(1 + e^-10).
    features = torch.tensor([1.0, 0], dtype=torch.float64).reshape(1, 2, 1, 1)
    shares = torch.tensor([1.0, 0], dtype=torch.float64).reshape(1, 2, 1, 1)
    eye = torch.eye(2, dtype=torch.float64)
    ones = torch.ones(2, dtype=torch.float64)
    loss, _ = alignment_loss(features, shares, eye, ones, torch.tensor([True, True]), 0.1)
    assert float(loss) == pytest.approx(math.log1p(math.exp(-10)), rel=1e-9)


def test_length_of_features_and_prototypes_does_not_matter():
    case = _case(5)
    expected = float(_a_to_b(case)[0])
    case['features_a'] *= 7
    case['features_b'] *= 0.01
    assert float(_a_to_b(case)[0]) == pytest.approx(expected, rel=1e-9)


def test_loss_does_not_grow_with_resolution():
    # Every cell repeated four times: the same mean.
    case = _case(6)
    expected = float(_a_to_b(case)[0])
    for name in ('features_a', 'shares_a'):
        case[name] = case[name].repeat(2, axis=2).repeat(2, axis=3)
    assert float(_a_to_b(case)[0]) == pytest.approx(expected, rel=1e-10)


def test_absent_classes_leave_the_loss_alone():
    # Under 'drop' another class that is in one domain only changes nothing.
    case = _case(7)
    loss, share = _a_to_b(case)
    prototype = reference.prototypes(case['features_b'], case['shares_b'])
    shares = np.concatenate([case['shares_a'], np.zeros_like(case['shares_a'][:, :1])], axis=1)
    more, _ = alignment_loss(
        torch.tensor(case['features_a']),
        torch.tensor(shares),
        torch.tensor(np.concatenate([prototype, np.ones_like(prototype[:1])])),
        torch.tensor(np.append(case['weight'], 0.0)),
        torch.tensor(np.append(case['overlap'], False)),
        0.1,
    )
    assert float(more) == pytest.approx(float(loss), rel=1e-12)
    assert 0 < float(share) < 1


def _backward_is_zero(loss, *leaves):
    assert loss.ndim == 0
    assert loss.item() == 0
    loss.backward()
    for leaf in leaves:
        assert torch.equal(leaf.grad, torch.zeros_like(leaf))


@pytest.mark.parametrize('absent', ['drop', 'zero', 'kept'])
def test_no_overlap_is_zero_with_graph(absent):
    # One domain has class 0, the other class 1.
    features, other = torch.randn(2, 2, 3, 2, 2).unbind()
    features, other = features.requires_grad_(), other.requires_grad_()
    shares = torch.zeros(2, 2, 3, 2, 2)
    shares[0, :, 0] = shares[1, :, 1] = 1
    weight, overlap = class_weights(
        torch.tensor([True, False, False]),
        torch.tensor([False, True, False]),
        torch.zeros(3, dtype=torch.bool),
    )
    loss, share = alignment_loss(
        features, shares[0], prototypes(other, shares[1]), weight, overlap, 0.1, absent=absent
    )
    assert float(share) == 0
    _backward_is_zero(loss, features, other)


@pytest.mark.parametrize('absent', ['drop', 'zero', 'kept'])
def test_all_ignored_labels_are_zero_with_graph(absent):
    features = torch.randn(1, 4, 2, 2, requires_grad=True)
    other = torch.randn(1, 4, 2, 2, requires_grad=True)
    empty = label_shares(torch.full((1, 8, 8), 255), (2, 2), 3)
    full = label_shares(torch.zeros(1, 8, 8, dtype=torch.long), (2, 2), 3)
    present_a, present_b = empty.sum((0, 2, 3)) > 0, full.sum((0, 2, 3)) > 0
    weight, overlap = class_weights(present_a, present_b, torch.zeros(3, dtype=torch.bool))
    for f, s, g, t in ((features, empty, other, full), (other, full, features, empty)):
        features.grad = other.grad = None
        loss, share = alignment_loss(f, s, prototypes(g, t), weight, overlap, 0.1, absent=absent)
        assert math.isfinite(float(share))
        _backward_is_zero(loss, features, other)


def test_one_overlapping_class_is_zero():
    # A softmax over one candidate is certain: loss 0, and no gradient.
    features = torch.randn(1, 3, 2, 2, requires_grad=True)
    shares = torch.zeros(1, 2, 2, 2)
    shares[:, 0] = 1
    loss, share = alignment_loss(
        features,
        shares,
        torch.randn(2, 3),
        torch.tensor([1.0, 0.0]),
        torch.tensor([True, False]),
        0.1,
    )
    assert float(share) == 1
    _backward_is_zero(loss, features)


def test_single_image_batch_matches_reference():
    case = _case(8, batch=1)
    expected, _ = reference.alignment_loss(
        case['features_a'],
        case['shares_a'],
        reference.prototypes(case['features_b'], case['shares_b']),
        case['weight'],
        case['overlap'],
        0.1,
    )
    assert float(_a_to_b(case)[0]) == pytest.approx(expected, rel=1e-10)


def test_zero_features_have_a_finite_gradient():
    # After a ReLU a cell may be all zero: cosine 0, no NaN.
    t = _tensors(_case(9))
    features = torch.zeros_like(t['features_a']).requires_grad_()
    loss, _ = alignment_loss(
        features,
        t['shares_a'],
        prototypes(t['features_b'], t['shares_b']),
        t['weight'],
        t['overlap'],
        0.1,
    )
    loss.backward()
    assert loss.isfinite()
    assert features.grad.isfinite().all()


def test_gradient_reaches_features_and_prototypes():
    t = _tensors(_case(10))
    a, b = t['features_a'].requires_grad_(), t['features_b'].requires_grad_()
    alignment_loss(a, t['shares_a'], prototypes(b, t['shares_b']), t['weight'], t['overlap'], 0.1)[
        0
    ].backward()
    assert a.grad.abs().sum() > 0
    assert b.grad.abs().sum() > 0


@pytest.mark.parametrize('absent', ['drop', 'zero', 'kept'])
def test_gradient(absent):
    t = _tensors(_case(11))
    a, b = t['features_a'].requires_grad_(), t['features_b'].requires_grad_()

    def loss(x, y):
        rho = prototypes(y, t['shares_b'])
        return alignment_loss(x, t['shares_a'], rho, t['weight'], t['overlap'], 0.5, absent=absent)[
            0
        ]

    assert torch.autograd.gradcheck(loss, (a, b))


def test_unknown_absent_is_refused():
    with pytest.raises(ValueError, match='drop'):
        _a_to_b(_case(), absent='keep')


@pytest.mark.parametrize('form', ['ratio', 'literal'])
def test_both_directions_match_reference(form):
    # The whole of [13] between two domains, from labels to the sum of two terms.
    label_a, label_b = random_labels(20), random_labels(21)
    label_a[label_a == 3] = 255
    case, long_tail = _case(12), np.array([False, False, True, False, True])
    features_a, features_b = case['features_a'], case['features_b']
    expected = reference.domain_alignment(
        features_a, label_a, features_b, label_b, long_tail, form=form
    )
    features = [torch.tensor(features_a), torch.tensor(features_b)]
    shares = [label_shares(torch.tensor(label), (2, 3), 5).double() for label in (label_a, label_b)]
    present = [share.sum((0, 2, 3)) > 0 for share in shares]
    weight, overlap = class_weights(*present, torch.tensor(long_tail), form=form)
    rho = [prototypes(f, s) for f, s in zip(features, shares, strict=True)]
    total = sum(
        alignment_loss(features[i], shares[i], rho[1 - i], weight.double(), overlap, 0.1)[0]
        for i in range(2)
    )
    # Shares and weights may be float32 numbers on the way.
    assert float(total) == pytest.approx(expected, rel=1e-6)
