"""Rare-class sampling against a float64 reference and cases worked out by hand."""

import math

import numpy as np
import pytest

from dsr_nss.datasets import DataError
from dsr_nss.datasets.rare_class_sampling import RareClassSampling, class_probabilities

CLASSES = ('road', 'sky', 'car', 'train')
COUNTS = {
    'a': {0: 6000, 1: 3000},
    'b': {0: 5000, 2: 4000},
    'c': {0: 5000, 2: 2999, 3: 10},
}


def make(**kwargs):
    arguments = dict(counts=COUNTS, keys=list(COUNTS), classes=CLASSES, crop_size=(100, 200))
    return RareClassSampling(**{**arguments, **kwargs})


def reference_probabilities(pixels, temperature):
    total = math.fsum(pixels)
    weights = [math.exp((1 - n / total) / temperature) for n in pixels]
    return [w / math.fsum(weights) for w in weights]


def test_probabilities_by_hand():
    # frequencies 3/4 and 1/4, temperature 0.5: weights exp(0.5) and exp(1.5), ratio e
    result = class_probabilities(np.array([30, 10]), 0.5)
    np.testing.assert_allclose(result, [1 / (1 + math.e), math.e / (1 + math.e)], rtol=1e-12)


@pytest.mark.parametrize('temperature', [0.01, 0.1, 1.0])
def test_probabilities_match_the_reference(rng, temperature):
    pixels = rng.integers(1, 10**7, 19)
    expected = reference_probabilities(pixels.tolist(), temperature)
    np.testing.assert_allclose(class_probabilities(pixels, temperature), expected, rtol=1e-9)


def test_small_temperature_does_not_overflow():
    result = class_probabilities(np.array([1, 10**6]), 1e-4)
    np.testing.assert_allclose(result, [1.0, 0.0])


def test_images_with_enough_pixels():
    sampling = make(min_pixels=3000)
    assert sampling.class_ids.tolist() == [0, 1, 2]  # the train has 10 pixels only
    images = {c: sampling.images[c].tolist() for c in (0, 1, 2)}
    assert images == {0: [0, 1, 2], 1: [0], 2: [1]}  # exactly 3000 is enough, 2999 is not
    expected = reference_probabilities([16000, 3000, 6999], 0.01)
    np.testing.assert_allclose(sampling.probabilities, expected, rtol=1e-9)


def test_drawn_frequencies(rng):
    sampling = make(min_pixels=5, temperature=1.0)
    draws = [sampling.draw(rng) for _ in range(20000)]
    seen = np.bincount([draw.class_id for draw in draws], minlength=4) / len(draws)
    expected = reference_probabilities([16000, 3000, 6999, 10], 1.0)
    np.testing.assert_allclose(seen, expected, atol=4 * 0.5 / math.sqrt(len(draws)))
    for class_id, images in {0: {0, 1, 2}, 1: {0}, 2: {1, 2}, 3: {2}}.items():
        assert {draw.index for draw in draws if draw.class_id == class_id} == images
    share = np.mean([draw.index == 1 for draw in draws if draw.class_id == 2])
    assert abs(share - 0.5) < 0.03


def test_share_of_the_crop():
    sampling = make(min_pixel_share=0.2, min_crop_ratio=2.0)
    assert sampling.min_pixels == 4000  # 0.2 x 100 x 200
    assert sampling.min_crop_pixels == 8000
    assert sampling.class_ids.tolist() == [0, 2]


def test_default_is_daformers():
    sampling = make()
    assert (sampling.min_pixels, sampling.min_crop_pixels, sampling.max_tries) == (3000, 1500, 10)


def test_left_out_classes_are_named(caplog, monkeypatch):
    messages = []
    monkeypatch.setattr(
        'dsr_nss.datasets.rare_class_sampling.print_log', lambda text, *_: messages.append(text)
    )
    make(min_pixels=3000)
    assert messages == [
        'rare-class sampling never draws for train: no label has 3000 pixels of them'
    ]


def test_no_class_at_all():
    with pytest.raises(
        DataError, match='no label has 100000 pixels of any class; lower min_pixels'
    ):
        make(min_pixels=100000)


def test_both_limits():
    with pytest.raises(ValueError, match='min_pixels or min_pixel_share'):
        make(min_pixels=1, min_pixel_share=0.1)


def test_unknown_field():
    with pytest.raises(TypeError, match='class_temp'):
        make(class_temp=0.1)
