"""The banks of one number of processes, dealt out to another number."""

from collections.abc import Sequence

import torch
from torch import Tensor

Bank = dict[str, Tensor]


def deal(banks: Sequence[Bank], capacity: int, count: int) -> list[Bank]:
    """Deals what banks hold out to `count` banks, the newest first, as one deals cards.

    An image lands in one bank only. A bank that gets more than it can hold keeps the newest; one
    that gets less is filled by the steps that follow, as at the start of a run.

    Args:
        banks: Buffers of each bank by name: `pushed`, and others whose first `capacity` entries are
            the slots; the oldest entry is in slot `pushed % capacity` once all are filled.
        capacity: Slots of a bank.
        count: Banks to make.

    Returns:
        Buffers of the new banks, by the same names.
    """
    held = [_newest_first(bank, capacity) for bank in banks]
    depth = max(map(len, held))
    cards = [(i, one[age]) for age in range(depth) for i, one in enumerate(held) if age < len(one)]
    return [_bank(banks, cards[i::count][:capacity][::-1]) for i in range(count)]


def _newest_first(bank: Bank, capacity: int) -> list[int]:
    """Filled slots."""
    pushed = int(bank['pushed'])
    return [(pushed - 1 - age) % capacity for age in range(min(pushed, capacity))]


def _bank(banks: Sequence[Bank], cards: Sequence[tuple[int, int]]) -> Bank:
    """A bank with these (bank, slot) in its first slots, the oldest first."""
    made = {  # 255 is no class, and nothing is pasted without a mask or a class
        name: torch.full_like(buffer, 255 if name == 'labels' else 0)
        for name, buffer in banks[0].items()
    }
    made['pushed'].fill_(len(cards))
    for slot, (bank, place) in enumerate(cards):
        for name, buffer in made.items():
            if name != 'pushed':
                buffer[slot] = banks[bank][name][place]
    return made
