"""The score of every image, and label and prediction of the worst ones."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import cv2
import numpy as np

from dsr_nss.evaluation.accumulator import ScoredImage
from dsr_nss.evaluation.iou import iou_scores

#: Of how many of the worst images label and prediction are kept.
SHOWN = 8
#: And of how many others, drawn by their names: for every run and every result the same ones.
DRAWN = 4


#: Label and prediction of an image as PNG files in memory.
Kept = tuple[bytes, bytes]


@dataclass(frozen=True)
class ImageScore:
    """How well one image is predicted.

    Attributes:
        name: The image within its set.
        mean: Mean IoU over the classes that occur in its label, percent.
        accuracy: Share of the labelled pixels that are right, percent.
        classes: IoU of the classes that occur, percent.
        image_file: The image.
        label_file: The label.
        confusion: `(K, K)` int64, rows are targets.
    """

    name: str
    mean: float
    accuracy: float
    classes: dict[str, float]
    image_file: str
    label_file: str
    confusion: np.ndarray = field(compare=False)

    @property
    def rank(self) -> tuple[float, str]:
        """Worst first; the name decides between equals, so that the order is always the same."""
        return self.mean, self.name


class WorstCases:
    """Scores of all images of a set, label and prediction of the worst and of some drawn ones.

    An image without any labelled pixel has no score and is left out.

    Args:
        classes: Names of all classes.
        shown: Number of the worst images whose label and prediction are kept.
        drawn: Number of images that are kept whatever their score.
    """

    def __init__(self, classes: Sequence[str], shown: int = SHOWN, drawn: int = DRAWN) -> None:
        self.classes = tuple(classes)
        self.shown = shown
        self.number_drawn = drawn
        self._scores: list[ImageScore] = []
        self._kept: dict[str, Kept] = {}

    def update(self, image: ScoredImage) -> None:
        """Scores one image."""
        if not image.confusion.any():
            return
        scores = iou_scores(image.confusion, self.classes)
        self._scores.append(
            ImageScore(
                image.name,
                scores.mean,
                100 * int(np.trace(image.confusion)) / int(image.confusion.sum()),
                {name: value for name, value in scores.classes.items() if value is not None},
                image.image_file,
                image.label_file,
                image.confusion,
            )
        )
        self._kept[image.name] = (_encode(image.label), _encode(image.prediction))
        self._drop()

    def state(self) -> tuple[list[ImageScore], dict[str, Kept]]:
        """All scores, and what is kept of the worst."""
        return self._scores, self._kept

    def merge(self, states: Sequence[tuple[list[ImageScore], dict[str, Kept]]]) -> None:
        """Puts the images of several processes together."""
        merged = {score.name: score for scores, _ in states for score in scores}
        self._scores = list(merged.values())
        self._kept = {name: maps for _, kept in states for name, maps in kept.items()}
        self._drop()

    def scores(self) -> list[ImageScore]:
        """All images, the worst first."""
        return sorted(self._scores, key=attrgetter('rank'))

    def worst(self) -> list[tuple[ImageScore, np.ndarray, np.ndarray]]:
        """The worst images, label and prediction `(H, W)` uint8, the worst first."""
        return self._maps(self.scores()[: self.shown])

    def drawn(self) -> list[tuple[ImageScore, np.ndarray, np.ndarray]]:
        """The drawn images in the order of their names, label and prediction `(H, W)` uint8."""
        return self._maps(sorted(self._draw(), key=attrgetter('name')))

    def _maps(
        self, scores: Sequence[ImageScore]
    ) -> list[tuple[ImageScore, np.ndarray, np.ndarray]]:
        return [
            (score, _decode(self._kept[score.name][0]), _decode(self._kept[score.name][1]))
            for score in scores
        ]

    def _candidates(self) -> list[ImageScore]:
        return [score for score in self._scores if score.name in self._kept]

    def _draw(self) -> list[ImageScore]:
        return sorted(self._candidates(), key=_lot)[: self.number_drawn]

    def _drop(self) -> None:
        """Keeps the maps of the worst and of the drawn only."""
        worst = sorted(self._candidates(), key=attrgetter('rank'))[: self.shown]
        kept = [*worst, *self._draw()]
        self._kept = {score.name: self._kept[score.name] for score in kept}


def _lot(score: ImageScore) -> int:
    return zlib.crc32(score.name.encode(errors='surrogateescape'))  # a name of any bytes


def _encode(ids: np.ndarray) -> bytes:
    return cv2.imencode('.png', ids)[1].tobytes()


def _decode(png: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE))
