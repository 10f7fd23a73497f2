"""The bank of whole batches against a plain list."""

import numpy as np
import pytest
import torch

from dsr_nss.models.dsr import BatchMemoryBank, Mixed

NAMES = ('road', 'bus', 'car', 'train')
TAIL = (1, 3)
SIZE = (5, 7)


def make(**fields) -> BatchMemoryBank:
    options = dict(class_names=NAMES, long_tail_classes=('bus', 'train'), size=SIZE, interval=3)
    return BatchMemoryBank(**{**options, **fields})


def batch(seed: int):
    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.integers(0, 256, (2, 3, *SIZE)) / 255)
    label = torch.from_numpy(rng.choice([0, 1, 2, 3, 255], (2, *SIZE)))
    return image, label


def mixture(seed: int) -> Mixed:
    rng = np.random.default_rng(seed)
    return Mixed(
        image=torch.from_numpy(rng.random((2, 3, *SIZE))),
        label=torch.from_numpy(rng.integers(0, 4, (2, *SIZE))),
        weight=torch.from_numpy(rng.random((2, *SIZE))),
        mask=torch.from_numpy(rng.random((2, 1, *SIZE)) < 0.3),
    )


def to_normalised(pixels: torch.Tensor) -> torch.Tensor:
    return 2 * pixels - 1


def test_equals_a_list_of_the_last_three_batches_with_the_current_one():
    bank, kept, pasted = make(), [], 0
    for step in range(1, 13):
        (image, label), mixed = batch(step), mixture(100 + step)
        kept = [*kept, (image, label)][-3:]
        expected = [t.clone() for t in (mixed.image, mixed.label, mixed.mask)]
        if step % 3 == 0:
            for old_image, old_label in kept:
                for b, y, x in np.ndindex(2, *SIZE):
                    if int(old_label[b, y, x]) in TAIL:
                        expected[0][b, :, y, x] = 2 * old_image[b, :, y, x] - 1
                        expected[1][b, y, x] = old_label[b, y, x]
                        expected[2][b, 0, y, x] = True
                        pasted += 1
        result = bank(mixed, image, label, step, to_normalised)
        torch.testing.assert_close(result.image, expected[0], rtol=0, atol=1e-12)
        assert torch.equal(result.label, expected[1]) and torch.equal(result.mask, expected[2])
        assert torch.equal(result.weight, mixed.weight), 'the weights stay'
    assert pasted > 100
    assert bank.after_augmentation


def test_a_restored_bank_goes_on_alike():
    bank, twin = make(), make()
    for step in (1, 2):
        bank(mixture(0), *batch(step), step, to_normalised)
    twin.load_state_dict(bank.state_dict())
    results = [b(mixture(1), *batch(3), 3, to_normalised) for b in (bank, twin)]
    assert torch.equal(results[0].image, results[1].image)
    assert not torch.equal(results[0].image, mixture(1).image)


def test_another_batch_or_crop_is_a_clear_error():
    image, label = batch(0)
    with pytest.raises(ValueError, match='bank.batch_size'):
        make(batch_size=3)(mixture(0), image, label, 1, to_normalised)
    with pytest.raises(ValueError, match='capacity'):
        make(capacity=0)
