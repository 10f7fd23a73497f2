"""The memory bank [5]: the written-down one by hand, and the registered one against it."""

import numpy as np
import pytest
import torch

from dsr_nss.models.dsr import LongTailMemoryBank, Mixed
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


@pytest.mark.parametrize('seed', range(3))
def test_registered_bank_matches_reference(seed):
    # 23 steps of two images each, some without a long-tail pixel: the bank fills, turns over and
    # is pasted four times. Values are multiples of 1/255, which the uint8 store keeps although
    # normalising and its inverse leave them a little off.
    rng = np.random.default_rng(seed)
    names, tail = tuple('abcdef'), (2, 5)
    bank = LongTailMemoryBank(
        class_names=names, long_tail_classes=[names[c] for c in tail], size=(4, 5), capacity=3
    )
    expected_bank = MemoryBank(tail, capacity=3)
    pasted = 0
    for step in range(1, 24):
        label = rng.choice([0, 1, 3, 4, 255], size=(2, 4, 5))
        tail_pixel = rng.uniform(size=label.shape) < rng.choice([0, 0.4], size=(2, 1, 1))
        label[tail_pixel] = rng.choice(tail, size=int(tail_pixel.sum()))
        image = rng.integers(0, 256, size=(2, 3, 4, 5)) / 255
        mixed_image = rng.normal(size=(2, 3, 4, 5))
        mixed_label, weight = rng.integers(0, 6, size=(2, 4, 5)), np.full((2, 4, 5), 0.25)

        mixed = Mixed(
            image=torch.tensor(mixed_image),
            label=torch.tensor(mixed_label),
            weight=torch.tensor(weight),
            mask=torch.zeros(2, 1, 4, 5, dtype=torch.bool),
        )
        if bank.due(step):
            mixed = bank.paste(mixed, lambda pixels: pixels)
        bank.push(torch.tensor(image) * (1 - 1e-7), torch.tensor(label))
        expected = expected_bank.step(step, (mixed_image, mixed_label, weight), (image, label))

        np.testing.assert_allclose(mixed.image.numpy(), expected[0], rtol=1e-10, atol=1e-12)
        np.testing.assert_array_equal(mixed.label.numpy(), expected[1])
        np.testing.assert_array_equal(mixed.weight.numpy(), expected[2])
        np.testing.assert_array_equal(mixed.mask[:, 0].numpy(), expected[2] == 1)
        pasted += int(mixed.mask.any())
    assert pasted == 4
