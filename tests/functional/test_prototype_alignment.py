"""The whole of L_proto [13], from the labels on: the registered loss against the reference."""

import numpy as np
import pytest
import torch

from dsr_nss.models.fpa import FPALoss
from tests.reference.prototypes import domain_alignment

NAMES, TAIL = tuple('abcde'), (2, 4)
LONG_TAIL = np.isin(np.arange(5), TAIL)


def _domain(seed, batch=2, dim=6):
    """Features of 2 x 3 cells and labels of 8 x 12 pixels; each domain lacks one class."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 5, size=(batch, 8, 12))
    label[label == seed % 5] = 255
    return rng.normal(size=(batch, dim, 2, 3)), label


def _loss(**kwargs):
    return FPALoss(class_names=NAMES, long_tail_classes=[NAMES[c] for c in TAIL], start=1, **kwargs)


def _run(loss, *domains):
    # A first level of other values: the loss has to take the last one.
    return loss(
        *(
            ((torch.full((2, 1, 4, 6), float('nan')), torch.tensor(feature)), torch.tensor(label))
            for feature, label in domains
        )
    )


@pytest.mark.parametrize('absent', ['drop', 'zero'])
@pytest.mark.parametrize('form', ['ratio', 'literal', 'none'])
@pytest.mark.parametrize('tau', [0.1, 0.5])
def test_four_terms_match_reference(form, absent, tau):
    source, mixed, night = _domain(0), _domain(1), _domain(2)
    expected = sum(
        domain_alignment(*other, *source, LONG_TAIL, tau=tau, form=form, absent=absent)
        for other in (mixed, night)
    )
    value, share = _run(_loss(tau=tau, reweight=form, absent=absent), source, mixed, night)
    # The class weights are float32.
    assert value.item() == pytest.approx(expected, rel=1e-6)
    assert 0 < share.item() <= 1


def test_prototypes_per_image_match_reference():
    # The authors' reading: image i against image i; the mean over the images.
    source, mixed, night = _domain(0), _domain(1), _domain(2)
    expected = np.mean(
        [
            sum(
                domain_alignment(
                    *(part[i : i + 1] for part in (*other, *source)), LONG_TAIL, tau=0.1
                )
                for other in (mixed, night)
            )
            for i in range(2)
        ]
    )
    value, _ = _run(_loss(prototype_scope='image'), source, mixed, night)
    assert value.item() == pytest.approx(expected, rel=1e-6)


def test_gradient_reaches_all_three_domains():
    features = [torch.tensor(_domain(seed)[0], requires_grad=True) for seed in range(3)]
    labels = [torch.tensor(_domain(seed)[1]) for seed in range(3)]
    value, _ = _loss()(*(((f,), y) for f, y in zip(features, labels, strict=True)))
    value.backward()
    assert all(f.grad.abs().sum() > 0 for f in features)


def test_gradient():
    domains = [_domain(seed, batch=1, dim=2) for seed in range(3)]
    labels = [torch.tensor(label) for _, label in domains]
    features = [torch.tensor(feature, requires_grad=True) for feature, _ in domains]

    loss = _loss(tau=0.5)

    def total(*maps):
        return loss(*(((f,), y) for f, y in zip(maps, labels, strict=True)))[0]

    assert torch.autograd.gradcheck(total, features)
