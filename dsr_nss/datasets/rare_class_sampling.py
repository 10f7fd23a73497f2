"""Rare-class sampling of the source (DAFormer, section 3.3): rare classes are drawn more often."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from mmengine.logging import print_log

from dsr_nss.datasets.class_statistics import ClassCounts
from dsr_nss.errors import DataError
from dsr_nss.values import Bounds, Count, Positive, Share, checked


@dataclass(frozen=True)
class Draw:
    """A drawn source image.

    Attributes:
        index: Its position in the source set.
        class_id: The class it was drawn for.
        min_crop_pixels: A crop should show more pixels of the class than this.
    """

    index: int
    class_id: int
    min_crop_pixels: float


def class_probabilities(pixels: np.ndarray, temperature: float) -> np.ndarray:
    """Probability of drawing each class: `softmax((1 - f) / temperature)`, `f` its pixel frequency.

    Args:
        pixels: `(C,)` pixels in the whole set of each class that is drawn, all positive.
        temperature: Positive; small values prefer rare classes strongly.

    Returns:
        `(C,)` float64 that sums to 1.
    """
    frequency = pixels / pixels.sum()
    logits = (1 - frequency) / temperature
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


@checked
class RareClassSampling:
    """Draws a class by its rarity, then uniformly one of the images that show enough of it.

    Args:
        counts: Pixels of each class in each image, at the labels' native size.
        keys: The images' keys in the order of the source set; one may be there several times.
        classes: Names of all classes, for messages.
        crop_size: (height, width) of the training crop, for `min_pixel_share`.
        temperature: Temperature of the softmax over the classes.
        min_pixels: An image is drawn for a class if it has at least this many pixels of it (3000,
            as DAFormer, if neither this nor `min_pixel_share` is given).
        min_pixel_share: `min_pixels` as a share of the crop area, for small images and short runs.
        min_crop_ratio: A crop of the drawn image should have more than `min_pixels *
            min_crop_ratio` pixels of the class (DAFormer 0.5 on half-size images, HRDA 2.0 on
            full-size ones).
        max_tries: Crops of the drawn image that are tried for that; the last one is taken.

    Raises:
        DataError: No class occurs in any image with enough pixels.
    """

    def __init__(
        self,
        *,
        counts: ClassCounts,
        keys: Sequence[str],
        classes: Sequence[str],
        crop_size: tuple[int, int],
        temperature: Positive = 0.01,
        min_pixels: Annotated[int, Bounds(0)] | None = None,
        min_pixel_share: Share | None = None,
        min_crop_ratio: Annotated[float, Bounds(0)] = 0.5,
        max_tries: Count = 10,
    ) -> None:
        if min_pixels is not None and min_pixel_share is not None:
            raise ValueError('rare_class_sampling: give min_pixels or min_pixel_share, not both')
        if min_pixel_share is not None:
            min_pixels = int(np.ceil(min_pixel_share * crop_size[0] * crop_size[1]))
        self.min_pixels = 3000 if min_pixels is None else min_pixels
        self.min_crop_pixels = self.min_pixels * min_crop_ratio
        self.max_tries = max_tries

        table = np.zeros((len(keys), len(classes)), np.int64)
        for row, key in enumerate(keys):
            for class_id, pixels in counts[key].items():
                table[row, class_id] = pixels
        enough = (table >= max(self.min_pixels, 1)).any(0)
        if not enough.any():
            raise DataError(
                f'rare_class_sampling: no label has {self.min_pixels} pixels of any class; lower '
                'min_pixels (or min_pixel_share)'
            )
        rare = [classes[int(i)] for i in np.flatnonzero((table.sum(0) > 0) & ~enough)]
        if rare:
            print_log(
                f'rare-class sampling never draws for {", ".join(rare)}: no label has '
                f'{self.min_pixels} pixels of them',
                'current',
            )
        self.class_ids = np.flatnonzero(enough)
        self.probabilities = class_probabilities(table.sum(0)[enough], temperature)
        self.images = {
            int(i): np.flatnonzero(table[:, i] >= max(self.min_pixels, 1)) for i in self.class_ids
        }

    def draw(self, rng: np.random.Generator) -> Draw:
        """Draws a class and one of its images."""
        class_id = int(rng.choice(self.class_ids, p=self.probabilities))
        index = int(rng.choice(self.images[class_id]))
        return Draw(index, class_id, self.min_crop_pixels)
