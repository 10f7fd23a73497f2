"""All that is measured beyond the IoU, as one accumulator."""

from collections.abc import Mapping, Sequence
from typing import Any

from dsr_nss.evaluation.accumulator import Accumulator, ScoredImage
from dsr_nss.evaluation.boundary import BoundaryIoU
from dsr_nss.evaluation.small_objects import SmallObjectRecall
from dsr_nss.evaluation.uncertainty import UncertaintyAwareIoU
from dsr_nss.evaluation.worst_cases import WorstCases


class DetailedMeasures:
    """Boundary IoU, recall of small objects, the worst images and, with masks, UIoU.

    Args:
        classes: Names of the classes.
        with_invalid: Whether the set has masks of invalid pixels; without them there is no UIoU.
        groups: The groups of the set (`metainfo.groups`); None: those that follow from the names.
    """

    def __init__(
        self,
        classes: Sequence[str],
        with_invalid: bool,
        groups: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.boundary = BoundaryIoU(len(classes))
        self.small_objects = SmallObjectRecall(classes, groups)
        self.images = WorstCases(classes)
        self.uncertainty = UncertaintyAwareIoU(len(classes)) if with_invalid else None
        self.classes = tuple(classes)

    def update(self, image: ScoredImage) -> None:
        """Counts one image."""
        for part in self._parts():
            part.update(image)

    def state(self) -> list[Any]:
        """The states of the parts."""
        return [part.state() for part in self._parts()]

    def merge(self, states: Sequence[list[Any]]) -> None:
        """Sums the counts of several processes."""
        for part, of_part in zip(self._parts(), zip(*states, strict=True), strict=True):
            part.merge(of_part)

    def flat(self) -> dict[str, float | None]:
        """`{'boundary_IoU', 'boundary_IoU/<class>', 'recall_small/<bin>', 'detected_small/<bin>',
        'objects_small/<bin>', 'UIoU'}` -> percent, number of objects, or None where nothing occurs.
        """
        boundary = self.boundary.result()
        occurring = [value for value in boundary if value is not None]
        flat: dict[str, float | None] = {'boundary_IoU': sum(occurring) / len(occurring)}
        if self.uncertainty is not None:
            flat['UIoU'] = self.uncertainty.result().average
        by_bin = self.small_objects.result()
        flat |= {f'recall_small/{name}': recall.recall for name, recall in by_bin.items()}
        flat |= {f'detected_small/{name}': recall.detected for name, recall in by_bin.items()}
        flat |= {f'objects_small/{name}': recall.objects for name, recall in by_bin.items()}
        return flat | {
            f'boundary_IoU/{name}': value
            for name, value in zip(self.classes, boundary, strict=True)
        }

    def _parts(self) -> list[Accumulator]:
        parts: list[Accumulator] = [self.boundary, self.small_objects, self.images]
        return parts if self.uncertainty is None else [*parts, self.uncertainty]
