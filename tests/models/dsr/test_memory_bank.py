"""The long-tail memory bank against a plain FIFO list."""

import numpy as np
import pytest
import torch

from dsr_nss.classes import CLASSES, GROUPS, class_ids
from dsr_nss.models.dsr import LongTailMemoryBank, Mixed

LONG_TAIL = class_ids(GROUPS['long_tail'])
SIZE = (6, 8)


def make_bank(**kwargs) -> LongTailMemoryBank:
    options = dict(
        class_names=CLASSES, long_tail_classes=GROUPS['long_tail'], size=SIZE, capacity=3
    )
    return LongTailMemoryBank(**{**options, **kwargs})


def random_batch(generator: torch.Generator, batch: int = 2, tail: bool = True):
    image = torch.randint(0, 256, (batch, 3, *SIZE), generator=generator) / 255
    label = torch.randint(0, 11, (batch, *SIZE), generator=generator)  # nothing long-tail
    if tail:
        for i in range(batch):
            y, x = torch.randint(0, 4, (2,), generator=generator).tolist()
            label[i, y : y + 2, x : x + 2] = LONG_TAIL[
                int(torch.randint(0, 6, (), generator=generator))
            ]
    return image, label


def zero_mixed(batch: int = 2) -> Mixed:
    return Mixed(
        image=torch.zeros(batch, 3, *SIZE),
        label=torch.zeros(batch, *SIZE, dtype=torch.int64),
        weight=torch.full((batch, *SIZE), 0.25),
        mask=torch.zeros(batch, 1, *SIZE, dtype=torch.bool),
    )


def test_paste_equals_a_list_of_images_pasted_oldest_first():
    generator = torch.Generator().manual_seed(0)
    bank, fifo = make_bank(), []
    for step in range(7):
        tail = step not in (2, 3)
        image, label = random_batch(generator, tail=tail)
        expected = zero_mixed()
        for stored_image, stored_label in fifo:
            region = np.isin(stored_label.numpy(), LONG_TAIL)
            for i in range(2):
                expected.image[i][:, region] = stored_image[:, region]
                expected.label[i][region] = stored_label[region]
                expected.weight[i][region] = 1.0
                expected.mask[i, 0][region] = True
        result = bank.paste(zero_mixed(), lambda pixels: pixels)
        torch.testing.assert_close(result.image, expected.image)
        assert torch.equal(result.label, expected.label)
        assert torch.equal(result.weight, expected.weight)
        assert torch.equal(result.mask, expected.mask)
        bank.push(image, label)
        if tail:
            fifo = [*fifo, *zip(image, label, strict=True)][-3:]
    assert int(bank.pushed) == 10


def test_an_image_without_long_tail_pixels_takes_no_place():
    bank = make_bank()
    image, label = random_batch(torch.Generator().manual_seed(1), tail=False)
    bank.push(image, label)
    assert int(bank.pushed) == 0
    label[1, 0, 0] = LONG_TAIL[0]
    bank.push(image, label)
    assert int(bank.pushed) == 1
    stored_image, stored_label, mask = bank.composite()
    assert mask.sum() == 1 and mask[0, 0]
    assert stored_label[0, 0] == LONG_TAIL[0]
    torch.testing.assert_close(stored_image[:, 0, 0] / 255, image[1, :, 0, 0])


def test_more_images_in_a_batch_than_places_keeps_the_newest():
    bank = make_bank(capacity=2)
    image = torch.stack([torch.full((3, *SIZE), v / 255) for v in (10, 20, 30)])
    label = torch.full((3, *SIZE), LONG_TAIL[1])
    bank.push(image, label)
    assert sorted(bank.images[:2, 0, 0, 0].tolist()) == [20, 30]
    assert bank.composite()[0].unique().tolist() == [30]


def test_state_dict_round_trip_and_refusal_of_another_shape():
    generator = torch.Generator().manual_seed(2)
    bank = make_bank()
    for _ in range(3):
        bank.push(*random_batch(generator))
    twin = make_bank()
    twin.load_state_dict(bank.state_dict())
    for a, b in zip(bank.composite(), twin.composite(), strict=True):
        assert torch.equal(a, b)
    batch = random_batch(generator)
    bank.push(*batch)
    twin.push(*batch)
    for a, b in zip(bank.composite(), twin.composite(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(RuntimeError, match='size mismatch'):
        make_bank(capacity=4).load_state_dict(bank.state_dict())


def test_memory_does_not_grow():
    bank = make_bank()
    generator = torch.Generator().manual_seed(3)
    before = sum(b.numel() for b in bank.buffers())
    for _ in range(20):
        bank.push(*random_batch(generator))
    assert sum(b.numel() for b in bank.buffers()) == before


def test_interval_counts_steps_from_one():
    bank = make_bank(interval=5)
    assert [t for t in range(1, 16) if bank.due(t)] == [5, 10, 15]


def test_wrong_crop_size_names_both_sizes():
    bank = make_bank()
    with pytest.raises(ValueError, match=r'crops of \(6, 8\), got \(4, 4\)'):
        bank.push(torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64))


def test_a_bank_on_the_cpu_stays_there():
    assert make_bank(device='cpu').to('meta').images.device.type == 'cpu'
    assert make_bank().to('meta').images.device.type == 'meta'
