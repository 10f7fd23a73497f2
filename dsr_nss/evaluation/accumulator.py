"""What the measures of a set have in common: they take one image after the other and add up.

No measure keeps predictions, and its state is integers, so that several processes that share the
images of a set get exactly the figures of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class ScoredImage:
    """One image of a set: what was predicted and what is right.

    Attributes:
        name: What to call it.
        prediction: `(H, W)` uint8 class ids.
        label: `(H, W)` uint8 class ids, 255 = ignore.
        confusion: `(K, K)` int64 of this image, rows are targets.
        confidence: `(H, W)` float32 in 0..1, the probability of the predicted class; None where no
            measure asks for it.
        invalid: `(H, W)` bool, pixels whose content cannot be told by a human (an annotation of
            Dark Zurich and ACDC); None for sets without it.
        image_file: The image.
        label_file: The label.
    """

    name: str
    prediction: np.ndarray
    label: np.ndarray
    confusion: np.ndarray
    confidence: np.ndarray | None = None
    invalid: np.ndarray | None = None
    image_file: str = ''
    label_file: str = ''


class Accumulator(Protocol):
    """A measure of a set that takes its images one by one."""

    def update(self, image: ScoredImage) -> None:
        """Counts one image."""

    def state(self) -> Any:
        """What has been counted, as plain data that another process can take."""

    def merge(self, states: Sequence[Any]) -> None:
        """Replaces what has been counted by the sum of these states."""


class CountAccumulator:
    """Named arrays of int64 counts.

    Args:
        shapes: Name -> shape of the counts.
    """

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        self.counts = {name: np.zeros(shape, np.int64) for name, shape in shapes.items()}

    def state(self) -> dict[str, np.ndarray]:
        """The counts by name: int64 arrays `(...)` of the shapes that were given at the start."""
        return self.counts

    def merge(self, states: Sequence[dict[str, np.ndarray]]) -> None:
        """Takes the sum of the counts of several processes: int64 arrays `(...)` by name."""
        self.counts = {
            name: np.sum([state[name] for state in states], axis=0, dtype=np.int64)
            for name in self.counts
        }

    def add(self, **counts: np.ndarray) -> None:
        """Adds integer arrays `(...)` of the same names and shapes."""
        for name, array in counts.items():
            self.counts[name] += array


class Confusion(CountAccumulator):
    """The confusion matrix of a set.

    Args:
        num_classes: `K`.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(confusion=(num_classes, num_classes))

    def update(self, image: ScoredImage) -> None:
        """Counts one image."""
        self.add(confusion=image.confusion)

    def result(self) -> np.ndarray:
        """`(K, K)` int64, rows are targets."""
        return self.counts['confusion']
