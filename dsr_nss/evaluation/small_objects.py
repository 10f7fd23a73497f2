"""How much of small objects is found, by their size: of poles, lights, signs and people, or of the
classes that a config names in its group `small_objects`.

An object is a connected component (8 neighbours) of one of these classes in the label: the ground
truth of semantic segmentation knows no instances, so a pole that a sign divides counts as two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from dsr_nss.classes import complete_groups
from dsr_nss.evaluation.accumulator import CountAccumulator, ScoredImage

#: Name of a bin and the area in pixels of the native image at which it ends (not included). The
#: two larger limits are COCO's between small, medium and large (Lin et al.).
AREA_BINS: tuple[tuple[str, float], ...] = (
    ('tiny', 16**2),
    ('small', 32**2),
    ('medium', 96**2),
    ('large', np.inf),
)
# Shares are summed in units of 2**-32: sums of integers do not depend on the order, so several
# processes give the figures of one.
_UNIT = 2**32


@dataclass(frozen=True)
class Recall:
    """What was found of the objects of one class or bin.

    Attributes:
        objects: Number of objects.
        recall: Mean over the objects of the share of pixels that are predicted as the object's
            class, in percent; None without objects.
        detected: Share of the objects of which more than half is found, in percent.
    """

    objects: int
    recall: float | None
    detected: float | None


def object_recall(
    prediction: np.ndarray, label: np.ndarray, class_id: int
) -> tuple[np.ndarray, np.ndarray]:
    """Area and found pixels of each object of a class.

    Args:
        prediction: `(H, W)` uint8 class ids.
        label: `(H, W)` uint8 class ids.
        class_id: The class.

    Returns:
        `(N,)` int64 each.
    """
    mask = (label == class_id).astype(np.uint8)
    number, components = cv2.connectedComponents(mask, connectivity=8)
    areas = np.bincount(components.ravel(), minlength=number)[1:]
    found = np.bincount(components[prediction == class_id], minlength=number)[1:]
    return areas, found


class SmallObjectRecall(CountAccumulator):
    """Recall of the small objects of a set by class and size.

    Args:
        classes: Names of all classes.
        groups: The groups of the set (`metainfo.groups`), of which `small_objects` counts; None:
            those that follow from the names.
    """

    def __init__(
        self, classes: Sequence[str], groups: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        counted = complete_groups(classes, groups)['small_objects']
        self.ids = {name: list(classes).index(name) for name in counted}
        shape = (len(self.ids), len(AREA_BINS))
        super().__init__(objects=shape, detected=shape, found=shape)
        self._limits = np.array([limit for _, limit in AREA_BINS])

    def update(self, image: ScoredImage) -> None:
        """Counts the objects of one image."""
        for row, class_id in enumerate(self.ids.values()):
            areas, found = object_recall(image.prediction, image.label, class_id)
            bins = np.searchsorted(self._limits, areas, side='right')
            shares = (2 * found * _UNIT + areas) // (2 * areas)  # found / areas, rounded
            np.add.at(self.counts['objects'][row], bins, 1)
            np.add.at(self.counts['detected'][row], bins, 2 * found > areas)
            np.add.at(self.counts['found'][row], bins, shares)

    def result(self) -> dict[str, Recall]:
        """All classes together by bin."""
        return {name: self._recall(np.s_[:, i]) for i, (name, _) in enumerate(AREA_BINS)}

    def by_class(self) -> dict[str, dict[str, Recall]]:
        """Each class by bin."""
        return {
            class_name: {name: self._recall(np.s_[row, i]) for i, (name, _) in enumerate(AREA_BINS)}
            for row, class_name in enumerate(self.ids)
        }

    def _recall(self, where: tuple) -> Recall:
        objects, detected, found = (
            int(self.counts[name][where].sum()) for name in ('objects', 'detected', 'found')
        )
        if not objects:
            return Recall(0, None, None)
        return Recall(objects, 100 * found / _UNIT / objects, 100 * detected / objects)
