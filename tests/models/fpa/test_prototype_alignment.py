"""The FPA module: which features meet which prototypes under which labels."""

import numpy as np
import pytest
import torch

from dsr_nss.models.fpa import FPALoss
from tests.reference.prototypes import domain_alignment

NAMES = ('road', 'pole', 'bus', 'car', 'sky')
LONG_TAIL = ('bus',)


def make(**kwargs) -> FPALoss:
    return FPALoss(class_names=NAMES, long_tail_classes=LONG_TAIL, start=1, **kwargs)


def domain(rng: np.random.Generator, classes: list[int], batch: int = 2):
    """Features of two levels and a label of the given classes; 255 among them."""
    fine, coarse = rng.normal(size=(batch, 6, 4, 4)), rng.normal(size=(batch, 3, 2, 2))
    label = rng.choice([*classes, 255], size=(batch, 8, 8))
    return (fine, coarse), label


def as_torch(features, label):
    return tuple(torch.from_numpy(f) for f in features), torch.from_numpy(label)


def three_domains():
    rng = np.random.default_rng(0)
    return domain(rng, [0, 1, 2, 3]), domain(rng, [0, 2, 3, 4]), domain(rng, [0, 1, 4])


@pytest.mark.parametrize('form', ['ratio', 'literal', 'none'])
@pytest.mark.parametrize('absent', ['drop', 'zero', 'kept'])
@pytest.mark.parametrize('level', [0, -1])
@pytest.mark.parametrize('members', ['shares', 'nearest'])
def test_four_terms_against_the_reference(form, absent, level, members):
    source, mixed, night = three_domains()
    fields = dict(reweight=form, absent=absent, feature_level=level, mixed_weight=0.3)
    loss, share = make(prototype_labels=members, **fields)(
        as_torch(*source), as_torch(*mixed), as_torch(*night)
    )
    long_tail = np.array([name in LONG_TAIL for name in NAMES])
    expected = sum(
        weight
        * domain_alignment(
            *(source[0][level], source[1], other[0][level], other[1]),
            *(long_tail, 0.1, form, absent, members),
        )
        for other, weight in ((mixed, 0.3), (night, 1.0))
    )
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    assert 0 < float(share) <= 1


def test_per_image_prototypes_average_over_pairs_of_images():
    source, mixed, night = three_domains()
    loss, _ = make(prototype_scope='image', feature_level=0)(
        as_torch(*source), as_torch(*mixed), as_torch(*night)
    )
    long_tail = np.array([name in LONG_TAIL for name in NAMES])
    expected = 0.0
    for i in range(2):
        one = slice(i, i + 1)
        for other in (mixed, night):
            expected += domain_alignment(
                source[0][0][one], source[1][one], other[0][0][one], other[1][one], long_tail
            )
    assert float(loss) == pytest.approx(expected / 2, rel=1e-6)


def test_no_common_class_is_a_zero_with_a_graph():
    rng = np.random.default_rng(1)
    domains = [as_torch(*domain(rng, classes)) for classes in ([0], [1], [2])]
    features = domains[0][0][0].requires_grad_()
    for absent in ('drop', 'zero'):
        loss, share = make(absent=absent, feature_level=0)(*domains)
        assert float(loss.detach()) == 0 and float(share) == 0
        (gradient,) = torch.autograd.grad(loss, features, retain_graph=True)
        assert (gradient == 0).all()


def test_gradient_reaches_features_and_prototypes_of_all_domains():
    domains = [as_torch(*d) for d in three_domains()]
    features = [d[0][0].requires_grad_() for d in domains]
    loss, _ = make(feature_level=0)(*domains)
    for gradient in torch.autograd.grad(loss, features):
        assert gradient.abs().sum() > 0


def test_half_precision_features_are_computed_in_float32():
    domains = [as_torch(*d) for d in three_domains()]
    half = [(tuple(f.bfloat16() for f in fs), label) for fs, label in domains]
    rounded = [(tuple(f.float() for f in fs), label) for fs, label in half]
    with torch.autocast('cpu', torch.bfloat16):
        loss, _ = make(feature_level=0)(*half)
    assert loss.dtype == torch.float32
    expected, _ = make(feature_level=0)(*rounded)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    'field', ['absent', 'reweight', 'prototype_scope', 'prototype_labels', 'night_statistics']
)
def test_a_bad_value_is_named(field):
    with pytest.raises(ValueError, match=field):
        make(**{field: 'epoch'})
