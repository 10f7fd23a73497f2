"""Boundary IoU: IoU counted only near contours, where small and thin objects have all their pixels.

Cheng et al., Boundary IoU: Improving Object-Centric Image Segmentation Evaluation (CVPR 2021): with
`G_d` the pixels of a mask `G` that are at most `d` away from its contour, inside,
`|G_d and P_d| / |G_d or P_d|`. Here each class of an image is a mask, the counts are summed over
the images of a set, and `d` is 0.02 of an image's diagonal. As in the authors' code the distance is
the number of erosions with a 3x3 square, and the border of the image is a contour.
"""

import cv2
import numpy as np

from dsr_nss.classes import IGNORE_INDEX
from dsr_nss.evaluation.accumulator import CountAccumulator, ScoredImage

#: `d` as a share of the image's diagonal.
DILATION_RATIO = 0.02


def boundary_distance(height: int, width: int) -> int:
    """`d` in pixels, at least 1."""
    return max(round(DILATION_RATIO * float(np.hypot(height, width))), 1)


def boundary_pixels(ids: np.ndarray, distance: int) -> np.ndarray:
    """Pixels that are at most `distance` inside the contour of their own segment.

    All classes at once: a pixel survives the erosion of its class if and only if the smallest and
    the largest id of the square window around it are equal.

    Args:
        ids: `(H, W)` uint8.
        distance: Pixels.

    Returns:
        `(H, W)` bool.
    """
    square = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    # beyond the border lies another id, 255: what is 255 itself is ignored and never counted
    largest = cv2.dilate(ids, square, borderType=cv2.BORDER_CONSTANT, borderValue=IGNORE_INDEX)
    return cv2.erode(ids, square) != largest


def boundary_counts(
    prediction: np.ndarray, label: np.ndarray, num_classes: int, distance: int
) -> dict[str, np.ndarray]:
    """Boundary pixels of each class of one image.

    Ignored pixels are cut out of the prediction as well before its contours are taken: a contour
    along an ignored region is then the same in both, and a perfect prediction scores 100 %.

    Args:
        prediction: `(H, W)` uint8 class ids.
        label: `(H, W)` uint8 class ids, 255 = ignore.
        num_classes: `K`.
        distance: `d` in pixels.

    Returns:
        `'both'`, `'label'` and `'prediction'`: `(K,)` int64 each.
    """
    predicted = np.where(label == IGNORE_INDEX, np.uint8(IGNORE_INDEX), prediction)
    in_label = boundary_pixels(label, distance)
    in_prediction = boundary_pixels(predicted, distance)
    both = in_label & in_prediction & (label == predicted)
    selections = {
        'both': label[both],
        'label': label[in_label],
        'prediction': predicted[in_prediction],
    }
    return {
        name: np.bincount(ids, minlength=IGNORE_INDEX + 1)[:num_classes]
        for name, ids in selections.items()
    }


class BoundaryIoU(CountAccumulator):
    """Boundary IoU of each class of a set.

    Args:
        num_classes: `K`.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(both=(num_classes,), label=(num_classes,), prediction=(num_classes,))
        self.num_classes = num_classes

    def update(self, image: ScoredImage) -> None:
        """Counts one image."""
        distance = boundary_distance(*image.label.shape)
        self.add(**boundary_counts(image.prediction, image.label, self.num_classes, distance))

    def result(self) -> list[float | None]:
        """Percent of each class; None for a class that does not occur in the labels."""
        union = self.counts['label'] + self.counts['prediction'] - self.counts['both']
        return [
            100 * int(both) / int(either) if in_label else None
            for both, either, in_label in zip(
                self.counts['both'], union, self.counts['label'], strict=True
            )
        ]
