"""The written-down memory bank, by hand: what the bank of the models is held against."""

import numpy as np

from tests.reference.memory_bank import MemoryBank


def _image(value, label):
    """One image of one row: every channel ``value``, the given labels."""
    label = np.array([[label]])
    return np.full((1, 3, 1, label.shape[2]), value), label


def _mixed(width=3, batch=1):
    return (
        np.zeros((batch, 3, 1, width)),
        np.zeros((batch, 1, width), dtype=int),
        np.full((batch, 1, width), 0.5),
    )


def test_paste_by_hand():
    # The older image has long-tail class 7 on pixels 0 and 1, the newer class 8 on pixels 1 and 2:
    # the newer lies on top at pixel 1. Every mixed image gets both; a pasted pixel weighs 1.
    bank = MemoryBank((7, 8))
    bank.push(*_image(10, [7, 7, 0]))
    bank.push(*_image(20, [255, 8, 8]))
    images, labels, weights = bank.paste(*_mixed(batch=2))
    for b in range(2):
        assert images[b, 0, 0].tolist() == [10, 20, 20]
        assert labels[b, 0].tolist() == [7, 8, 8]
        assert weights[b, 0].tolist() == [1, 1, 1]


def test_unmasked_pixels_stay():
    bank = MemoryBank((7,))
    bank.push(*_image(10, [7, 0, 255]))
    images, labels, weights = bank.paste(*_mixed())
    assert images[0, :, 0].tolist() == [[10, 0, 0]] * 3
    assert labels[0, 0].tolist() == [7, 0, 0]
    assert weights[0, 0].tolist() == [1, 0.5, 0.5]


def test_capacity_counts_images_and_skips_blank_ones():
    bank = MemoryBank((7,), capacity=2)
    for value, label in ((1, [7]), (2, [0]), (3, [7]), (4, [7])):
        bank.push(*_image(value, label))
    assert [entry[0][0, 0, 0] for entry in bank.entries] == [3, 4]


def test_the_current_batch_is_pushed_after_pasting():
    bank = MemoryBank((7,), interval=5)
    source = _image(9, [7, 7, 7])
    images, _, _ = bank.step(5, _mixed(), source)
    assert not images.any(), 'the own source image was pasted'
    assert len(bank.entries) == 1
    images, _, _ = bank.step(6, _mixed(), source)
    assert not images.any(), '6 is no multiple of 5'
    images, _, _ = bank.step(10, _mixed(), source)
    assert (images == 9).all()
