"""Banks of one number of processes for another."""

import pytest
import torch

from dsr_nss.models.dsr import BatchMemoryBank, LongTailMemoryBank
from dsr_nss.models.dsr.dealing import deal

NAMES = ('road', 'train')
FIELDS = dict(class_names=NAMES, long_tail_classes=('train',), size=(2, 2), capacity=3)


def bank(grey_values):
    """A bank that was given images of these grey values, one after the other."""
    made = LongTailMemoryBank(**FIELDS)
    for value in grey_values:
        made.push(torch.full((1, 3, 2, 2), value / 255), torch.ones(1, 2, 2, dtype=torch.int64))
    return made


def buffers(module):
    return {name: buffer.clone() for name, buffer in module.state_dict().items()}


def newest_first(state):
    made = LongTailMemoryBank(**FIELDS)
    made.load_state_dict(state)
    pushed = int(made.pushed)
    slots = [(pushed - 1 - age) % 3 for age in range(min(pushed, 3))]
    assert all(made.masks[slot].all() and (made.labels[slot] == 1).all() for slot in slots)
    return [int(made.images[slot, 0, 0, 0]) for slot in slots]


@pytest.mark.parametrize(
    'pushed, count, expected',
    [
        (([1, 2, 3], [11, 12, 13]), 1, [[3, 13, 2]]),
        (([1, 2, 3], [11, 12, 13]), 3, [[3, 12], [13, 1], [2, 11]]),
        (([1, 2, 3, 4, 5],), 2, [[5, 3], [4]]),
        (([1], [11, 12, 13]), 2, [[1, 12], [13, 11]]),
        (([], []), 3, [[], [], []]),
    ],
)
def test_the_newest_are_dealt_one_by_one(pushed, count, expected):
    dealt = deal([buffers(bank(values)) for values in pushed], 3, count)
    assert [newest_first(state) for state in dealt] == expected


def test_a_dealt_bank_goes_on_like_any_other():
    (state,) = deal([buffers(bank([1, 2])), buffers(bank([11]))], 3, 1)
    made = LongTailMemoryBank(**FIELDS)
    made.load_state_dict(state)
    made.push(torch.full((1, 3, 2, 2), 99 / 255), torch.ones(1, 2, 2, dtype=torch.int64))
    assert newest_first(buffers(made)) == [99, 2, 11]


def test_an_empty_bank_pastes_nothing():
    state = deal([buffers(bank([]))], 3, 2)[1]
    made = LongTailMemoryBank(**FIELDS)
    made.load_state_dict(state)
    assert not made.composite()[2].any()


def test_whole_batches_are_dealt_too():
    made = BatchMemoryBank(**FIELDS, batch_size=2)
    made.images[0], made.labels[0], made.pushed = 7, 1, torch.tensor(1)
    first, second = deal([buffers(made)], 3, 2)
    assert first['pushed'] == 1 and (first['images'][0] == 7).all()
    assert (first['labels'][1:] == 255).all()
    assert second['pushed'] == 0 and (second['labels'] == 255).all()
