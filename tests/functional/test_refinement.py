"""Holistic refinement: reference, hand-worked pixels, published numbers."""

import math

import numpy as np
import pytest
import torch

from dsr_nss.functional.refinement import refine, static_agreement, trust_factor
from tests.functional.class_sets import mask_of
from tests.reference import refinement as reference
from tests.reference.softmax import softmax

STATIC = (0, 1, 3)


def _case(seed=0, batch=2, classes=5, height=4, width=6):
    rng = np.random.default_rng(seed)
    shape = (batch, classes, height, width)
    # Different sharpness per image, so that the trust factor differs between them.
    scale = np.array([3.0, 0.7])[:batch].reshape(-1, 1, 1, 1)
    return {
        'logits_n': scale * rng.normal(size=shape),
        'logits_d': 2 * rng.normal(size=shape),
        'confidence': rng.uniform(size=(batch, 1, height, width)),
        'valid': rng.uniform(size=(batch, height, width)) > 0.3,
    }


def _refine(case, gamma=0.25, dtype=torch.float64, static=STATIC):
    floats = [torch.tensor(case[name]).to(dtype) for name in ('logits_n', 'logits_d', 'confidence')]
    return refine(*floats, torch.tensor(case['valid']), mask_of(static, 5), gamma)


@pytest.mark.parametrize('gamma', [0.25, 1.0])
@pytest.mark.parametrize('seed', range(3))
def test_matches_reference(seed, gamma):
    case = _case(seed)
    actual = _refine(case, gamma)
    expected = reference.refine(**case, static_ids=STATIC, gamma=gamma)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-10)


def test_float32_is_close():
    case = _case(7)
    actual = _refine(case, dtype=torch.float32)
    assert actual.dtype == torch.float32
    expected = reference.refine(**case, static_ids=STATIC, gamma=0.25)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_trust_factor_by_hand():
    # Image 0: uniform everywhere, mean entropy 1, s = 1. Image 1: half of the pixels uniform, half
    # certain: mean 1/2, s = (1/2)^(1/4). The root is taken of the mean, not of each pixel (which
    # would give 1/2).
    prob = torch.full((2, 4, 1, 2), 0.25, dtype=torch.float64)
    prob[1, :, 0, 1] = torch.tensor([1.0, 0, 0, 0])
    actual = trust_factor(prob, 0.25)
    assert actual.shape == (2,)
    assert actual.tolist() == pytest.approx([1.0, 0.5**0.25], rel=1e-12)


def test_trust_factor_of_a_certain_image_is_zero():
    prob = torch.zeros(1, 3, 2, 2)
    prob[:, 1] = 1
    assert trust_factor(prob, 0.25).tolist() == [0.0]


def test_trust_factor_matches_reference():
    prob = softmax(2 * np.random.default_rng(3).normal(size=(3, 6, 4, 5)))
    for gamma in (0.25, 0.5, 1.0):
        np.testing.assert_allclose(
            trust_factor(torch.tensor(prob), gamma).numpy(),
            reference.trust_factor(prob, gamma),
            rtol=1e-10,
        )


def test_static_agreement_by_hand():
    # Classes 0, 1 static, 2 dynamic. Pixels: (0, 1) agree although the classes differ;
    # (0, 2), (2, 1), (2, 2) do not. At the agreeing pixel only the static channels are true.
    night = torch.eye(3)[[0, 0, 2, 2]].T.reshape(1, 3, 1, 4)
    day = torch.eye(3)[[1, 2, 1, 2]].T.reshape(1, 3, 1, 4)
    actual = static_agreement(night, day, mask_of((0, 1), 3))
    assert actual.dtype == torch.bool
    assert actual[0, :, 0].tolist() == [
        [True, False, False, False],
        [True, False, False, False],
        [False] * 4,
    ]


def test_static_agreement_matches_reference():
    rng = np.random.default_rng(4)
    night, day = (softmax(rng.normal(size=(2, 5, 6, 7))) for _ in range(2))
    expected = reference.static_agreement(night, day, STATIC)
    actual = static_agreement(torch.tensor(night), torch.tensor(day), mask_of(STATIC, 5))
    np.testing.assert_array_equal(actual.numpy(), expected)
    assert 0 < expected.mean() < 1


def test_blend_by_hand():
    # Three classes, class 0 static, one image of two pixels with equal night predictions
    # p_n = (1/2, 1/4, 1/4) and p_d = (3/4, 1/8, 1/8); both arg-maxes are class 0.
    # H(p_n) / log 3 = 1.5 log 2 / log 3, s = that with gamma 1. P = 0.5 at both; pixel 1 invalid.
    # Pixel 0: channel 0 has eps = s (M = 1), the others eps = s / 2. Pixel 1: p_n.
    night = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).log()
    day = torch.tensor([0.75, 0.125, 0.125], dtype=torch.float64).log()
    actual = refine(
        night.reshape(1, 3, 1, 1).expand(1, 3, 1, 2),
        day.reshape(1, 3, 1, 1).expand(1, 3, 1, 2),
        torch.full((1, 1, 1, 2), 0.5, dtype=torch.float64),
        torch.tensor([[[True, False]]]),
        mask_of((0,), 3),
        1.0,
    )
    s = 1.5 * math.log(2) / math.log(3)
    first = [0.5 + s * 0.25, 0.25 - s / 2 * 0.125, 0.25 - s / 2 * 0.125]
    assert actual[0, :, 0, 0].tolist() == pytest.approx(first, rel=1e-12)
    assert actual[0, :, 0, 1].tolist() == pytest.approx([0.5, 0.25, 0.25], rel=1e-12)
    # Not renormalised: 1 + s / 4 - s / 8.
    assert actual[0, :, 0, 0].sum().item() == pytest.approx(1 + s / 8, rel=1e-12)


def test_invalid_everywhere_keeps_the_night_prediction():
    case = _case(1)
    case['valid'][:] = False
    np.testing.assert_allclose(_refine(case).numpy(), softmax(case['logits_n']), rtol=1e-12)


def test_invalid_sample_leaves_its_neighbour_alone():
    case = _case(2)
    both = _refine(case)
    case['valid'][0] = False
    alone = _refine(case)
    np.testing.assert_allclose(alone[0].numpy(), softmax(case['logits_n'])[0], rtol=1e-12)
    assert torch.equal(alone[1], both[1])


def test_certain_night_is_kept():
    # Entropy 0: s = 0, nothing comes from the day, and nothing is NaN.
    case = _case(3, batch=1)
    case['logits_n'] = np.zeros_like(case['logits_n'])
    case['logits_n'][:, 2] = 1000.0
    actual = _refine(case)
    assert actual[:, 2].eq(1).all()
    assert actual.sum() == actual[:, 2].numel()


LARGE_STATIC = (0, 1, 2, 3, 4, 8, 9, 10)


def _published_inputs():
    """The inputs behind the published outputs: seeded normals and uniforms.

    The day is independent of the night in the lower half and close to it in the upper; the second
    night image is flatter, so that its trust factor differs.
    """

    def seeded(draw, seed, *shape):
        return draw(*shape, generator=torch.Generator().manual_seed(seed))

    night = 3 * seeded(torch.randn, 20, 2, 19, 40, 48)
    day = 3 * seeded(torch.randn, 21, 2, 19, 40, 48)
    day[:, :, :20] = night[:, :, :20] + 0.5 * seeded(torch.randn, 22, 2, 19, 20, 48)
    night[1] *= 0.3
    confidence = seeded(torch.rand, 23, 2, 1, 40, 48)
    valid = seeded(torch.rand, 24, 2, 40, 48) > 0.2
    return night, day, confidence, valid


@pytest.mark.parametrize(
    ('variant', 'gamma', 'static'),
    [
        ('no_warp', 0.25, LARGE_STATIC),
        ('disable_M', 0.25, ()),
        ('disable_P', 0.25, LARGE_STATIC),
        ('gamma1', 1.0, LARGE_STATIC),
    ],
)
def test_published_numbers(shared_dir, variant, gamma, static):
    night, day, confidence, valid = _published_inputs()
    if variant in ('no_warp', 'disable_P'):
        confidence = torch.full_like(confidence, 0.5)
    if variant == 'no_warp':
        valid = torch.ones_like(valid)
    data = np.load(shared_dir / 'reference/parity/refine_variants.npz')
    actual = refine(night, day, confidence, valid, mask_of(static, night.shape[1]), gamma)
    np.testing.assert_allclose(actual.numpy(), data[f'refined_{variant}'], rtol=0, atol=2e-6)
