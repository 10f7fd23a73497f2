"""Endlessly repeated passes over a set, each in an order of its own."""

import numpy as np


class ShuffledPasses:
    """Maps sample numbers to elements: each pass shows every element once.

    The order of a pass is a function of seed, stream and pass number alone.

    Args:
        size: Elements of the set.
        seed: Decides all orders.
        stream: Sets that are drawn from side by side differ in it.
    """

    def __init__(self, size: int, *, seed: int, stream: int) -> None:
        self.size = size
        self._seed = seed
        self._stream = stream
        self._order: tuple[int, np.ndarray] | None = None

    def __getitem__(self, number: int) -> int:
        """The element of a sample number (0, 1, 2, ... without end)."""
        number_of_pass, position = divmod(number, self.size)
        if self._order is None or self._order[0] != number_of_pass:
            sequence = np.random.SeedSequence(
                (self._seed, number_of_pass), spawn_key=(0, self._stream)
            )
            order = np.random.default_rng(sequence).permutation(self.size)
            self._order = (number_of_pass, order)
        return int(self._order[1][position])
