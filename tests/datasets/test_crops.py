"""Where crops fall and which are accepted."""

import numpy as np
import pytest

from dsr_nss.datasets import DataError
from dsr_nss.datasets.crops import CropBox, random_box, source_box


def draw(rng, label, crop, **kwargs):
    arguments = dict(num_classes=19, max_class_share=1.0, path='label.png')
    return source_box(rng, label, crop, **{**arguments, **kwargs})


def test_positions_cover_the_image_uniformly(rng):
    tops, lefts = zip(
        *((b.top, b.left) for b in (random_box(rng, (5, 7), (3, 4), 'x') for _ in range(3000))),
        strict=True,
    )
    assert set(tops) == {0, 1, 2} and set(lefts) == {0, 1, 2, 3}
    assert np.bincount(lefts).min() > 3000 / 4 * 0.85


def test_whole_image(rng):
    assert random_box(rng, (5, 7), (5, 7), 'x') == CropBox(0, 0, 5, 7)


def test_crop_larger_than_the_image(rng):
    with pytest.raises(
        DataError, match=r'night\.png: the image is 5x7.*crop_size 6x7; lower crop_size'
    ):
        random_box(rng, (5, 7), (6, 7), 'night.png')


def test_share_of_one_class_is_kept_below_the_limit(rng):
    # the left half is road, the right one alternates between two classes: only crops that reach
    # into the right half show less than 75 % of one class
    label = np.zeros((8, 64), np.uint8)
    label[:, 32:] = np.where(np.arange(32) % 2, 2, 10)
    shares = []
    for _ in range(200):
        box = draw(rng, label, (8, 16), max_class_share=0.75)
        counts = np.bincount(box.cut(label).ravel())
        shares.append(counts.max() / counts.sum())
    # a position is good with probability > 0.5, so ten tries fail with less than 0.001
    assert np.mean(np.array(shares) <= 0.75) > 0.98
    free = [draw(rng, label, (8, 16)).left for _ in range(200)]
    assert np.mean(np.array(free) < 16) > 0.2


def test_share_counts_labelled_pixels_only(rng):
    label = np.full((4, 8), 255, np.uint8)
    label[0, :4] = [0, 0, 0, 2]  # road is 75 % of what is labelled
    assert draw(rng, label, (4, 8), max_class_share=0.75) == CropBox(0, 0, 4, 8)


def test_crop_is_redrawn_for_the_drawn_class(rng):
    label = np.zeros((4, 40), np.uint8)
    label[:, :10] = 13
    without = [draw(rng, label, (4, 10)).left for _ in range(300)]
    boxes = [
        draw(rng, label, (4, 10), class_id=13, min_class_pixels=20, max_tries=10)
        for _ in range(300)
    ]
    good = np.mean([(box.cut(label) == 13).sum() > 20 for box in boxes])
    expected = 1 - (1 - 5 / 31) ** 10  # lefts 0..4 of 31 show more than 20 pixels
    assert abs(good - expected) < 0.08
    assert np.mean(np.array(without) < 5) < 0.35


def test_the_last_crop_is_taken_when_none_has_enough(rng):
    label = np.zeros((4, 8), np.uint8)
    box = draw(rng, label, (4, 4), class_id=13, min_class_pixels=1, max_tries=3)
    assert box.height == 4


def test_only_ignore_pixels(rng):
    label = np.full((8, 8), 255, np.uint8)
    with pytest.raises(
        DataError, match=r'label\.png: 50 random crops of 4x4 have only ignore pixels'
    ):
        draw(rng, label, (4, 4))
    label[0, 0] = 3  # found after some tries: 1 of 25 positions
    found = sum(
        draw(np.random.default_rng(s), label, (4, 4)).top == 0 for s in range(8) if _finds(s, label)
    )
    assert found > 4


def _finds(seed, label):
    try:
        draw(np.random.default_rng(seed), label, (4, 4))
    except DataError:
        return False
    return True


def test_ids_that_are_no_train_ids(rng):
    label = np.zeros((8, 8), np.uint8)
    label[3, 3] = 33
    with pytest.raises(DataError, match=r'label\.png: the label has the ids \[33\]'):
        draw(rng, label, (8, 8))
