"""Scores of pseudo-labels: accuracy and IoU by class group, and accuracy by confidence."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from dsr_nss.classes import CLASSES, IGNORE_INDEX, class_ids, reported_groups
from dsr_nss.evaluation.iou import REPORTED_GROUPS, confusion_matrix, iou_scores
from dsr_nss.studies.refinement.views import Refined
from dsr_nss.visualization.text_table import text_table

#: Bins of the confidence, of equal width in 0..1.
BINS = 10
#: Score of the flat result -> its row in the table, in order.
ROWS = {
    'pixel_accuracy': 'pixel accuracy',
    **{f'accuracy_{group}': f'  of {group.replace("_", " ")}' for group in REPORTED_GROUPS},
    'mIoU': 'mIoU',
    **{f'mIoU_{group}': f'  of {group.replace("_", " ")}' for group in REPORTED_GROUPS},
    'corrected': 'corrected by the day',
    'spoiled': 'spoiled by the day',
    'unaligned': 'views without alignment',
}


class Bin(NamedTuple):
    """Pseudo-labels of one range of the confidence.

    Attributes:
        low: Confidence at which the bin begins.
        high: Confidence at which it ends.
        accuracy: Percent of right pixels in it; None without pixels.
        share: Percent of all pixels that are in it.
    """

    low: float
    high: float
    accuracy: float | None
    share: float


class Tally:
    """Counts of one aligner over the labelled pixels of all views.

    Args:
        num_classes: `K`.
        bins: Number of equal bins over the confidence in [0, 1].
    """

    def __init__(self, num_classes: int, bins: int = BINS) -> None:
        self.confusion = np.zeros((num_classes, num_classes), np.int64)
        #: Pixels, and right ones, by confidence.
        self.pixels = np.zeros(bins, np.int64)
        self.right = np.zeros(bins, np.int64)
        #: Pixels that are right here and wrong without a reference, and the reverse.
        self.corrected = self.spoiled = 0
        #: Views with a reference, and those that could not be aligned.
        self.referenced = self.unaligned = 0

    def add(self, result: Refined, alone: Refined, truth: np.ndarray) -> None:
        """Counts one view.

        Args:
            result: The refined pseudo-label.
            alone: That of the night prediction alone.
            truth: `(H, W)` class ids, 255 = ignore.
        """
        self.confusion += confusion_matrix(
            torch.from_numpy(result.label), torch.from_numpy(truth), len(self.confusion)
        ).numpy()
        labelled = truth != IGNORE_INDEX
        right = (result.label == truth)[labelled]
        right_alone = (alone.label == truth)[labelled]
        number = len(self.pixels)
        # 1 belongs to the last bin
        place = np.minimum((result.confidence[labelled] * number).astype(np.int64), number - 1)
        self.pixels += np.bincount(place, minlength=number)
        self.right += np.bincount(place[right], minlength=number)
        self.corrected += int((right & ~right_alone).sum())
        self.spoiled += int((~right & right_alone).sum())
        self.referenced += result.aligned is not None
        self.unaligned += result.aligned is False

    def scores(self, classes: Sequence[str] = CLASSES) -> dict[str, float | None]:
        """Everything in percent; None where no pixel was counted.

        Returns:
            `pixel_accuracy`, `accuracy_<group>` (share of right pixels among those of the group's
            classes), `mIoU`, `mIoU_<group>`, `IoU/<class>`, `corrected`, `spoiled` (shares of the
            labelled pixels), `unaligned` (share of the views; None without references), and
            `confidence/<low>-<high>/share` and `/accuracy` of each bin.

        Raises:
            ValueError: No labelled pixel was counted.
        """
        iou = iou_scores(self.confusion, classes)
        of_class, right = self.confusion.sum(axis=1), self.confusion.diagonal()
        total = int(of_class.sum())
        scores: dict[str, float | None] = {'pixel_accuracy': _percent(right.sum(), total)}
        for group, names in reported_groups(classes).items():
            ids = list(class_ids(names, classes))
            scores[f'accuracy_{group}'] = _percent(right[ids].sum(), of_class[ids].sum())
        scores['mIoU'] = iou.mean
        scores |= {f'mIoU_{group}': value for group, value in iou.groups.items()}
        scores |= {f'IoU/{name}': value for name, value in iou.classes.items()}
        scores['corrected'] = _percent(self.corrected, total)
        scores['spoiled'] = _percent(self.spoiled, total)
        scores['unaligned'] = _percent(self.unaligned, self.referenced)
        for i, (pixels, hits) in enumerate(zip(self.pixels, self.right, strict=True)):
            name = f'confidence/{i / len(self.pixels):.2f}-{(i + 1) / len(self.pixels):.2f}'
            scores[f'{name}/share'] = _percent(pixels, total)
            scores[f'{name}/accuracy'] = _percent(hits, pixels)
        return scores


def _percent(part: Any, whole: Any) -> float | None:
    return 100 * float(part) / float(whole) if whole else None


def flat_results(tallies: Mapping[str, Tally]) -> dict[str, Any]:
    """`{'<aligner>/<score>': percent or None}`, see `Tally.scores`."""
    return {
        f'{aligner}/{name}': value
        for aligner, tally in tallies.items()
        for name, value in tally.scores().items()
    }


def aligner_names(results: Mapping[str, Any]) -> list[str]:
    """The aligners of a flat result, in its order."""
    return [key.removesuffix('/mIoU') for key in results if key.endswith('/mIoU')]


def confidence_bins(results: Mapping[str, Any], aligner: str) -> list[Bin]:
    """The bins of one aligner in a flat result, from low to high confidence."""
    start, end = f'{aligner}/confidence/', '/share'
    ranges = [k[len(start) : -len(end)] for k in results if k.startswith(start) and k.endswith(end)]
    bins = []
    for text in ranges:
        low, high = map(float, text.split('-'))
        accuracy, share = (results[f'{start}{text}/{key}'] for key in ('accuracy', 'share'))
        bins.append(Bin(low, high, accuracy, share))
    return bins


def format_worth(results: Mapping[str, Any]) -> str:
    """A flat result as two tables: scores, and accuracy with the share of pixels by confidence."""
    names = aligner_names(results)
    scores = [
        [title, *(_cell(results[f'{a}/{key}']) for a in names)] for key, title in ROWS.items()
    ]
    bins = [
        [f'{row[0].low:.2f} to {row[0].high:.2f}']
        + [f'{_cell(each.accuracy)} ({_cell(each.share, 1)})' for each in row]
        for row in zip(*(confidence_bins(results, a) for a in names), strict=True)
    ]
    heading = 'right pixels by confidence (in brackets: share of the pixels)'
    titles = ['', *names]
    return '\n'.join([text_table(titles, scores), '', heading, text_table(titles, bins)])


def _cell(value: float | None, digits: int = 2) -> str:
    return '-' if value is None else f'{value:.{digits}f}'
