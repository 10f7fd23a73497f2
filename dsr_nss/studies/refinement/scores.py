"""Scores of pseudo-labels: accuracy and IoU by class group, and accuracy by confidence."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from dsr_nss.classes import CLASSES, IGNORE_INDEX, REPORTED_GROUPS, class_ids, reported_groups
from dsr_nss.evaluation.iou import confusion_matrix, flat_scores, iou_scores
from dsr_nss.studies.refinement.views import Refined
from dsr_nss.visualization.text_table import text_table

#: Bins of the confidence, of equal width in 0..1.
BINS = 10
_RANGES = [f'{i / BINS:.2f}-{(i + 1) / BINS:.2f}' for i in range(BINS)]
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
    """Counts of one aligner over the labelled pixels of all views, of the 19 classes."""

    def __init__(self) -> None:
        self.confusion = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
        #: Pixels, and right ones, by confidence.
        self.pixels, self.right = np.zeros((2, BINS), np.int64)
        #: Pixels that are `corrected` (right here, wrong without a reference) and `spoiled` (the
        #: reverse), views that are `referenced`, and those of them that are `unaligned`.
        self.counts: Counter[str] = Counter()

    def add(self, result: Refined, alone: Refined, truth: np.ndarray) -> None:
        """Counts one view.

        Args:
            result: The refined pseudo-label.
            alone: That of the night prediction alone.
            truth: `(H, W)` class ids, 255 = ignore.
        """
        self.confusion += confusion_matrix(
            torch.from_numpy(result.label), torch.from_numpy(truth), len(CLASSES)
        ).numpy()
        labelled = truth != IGNORE_INDEX
        right, before = ((each.label == truth)[labelled] for each in (result, alone))
        confidence = result.confidence[labelled].clip(0, 1)  # rounding may exceed 1
        self.pixels += np.histogram(confidence, BINS, (0, 1))[0]
        self.right += np.histogram(confidence[right], BINS, (0, 1))[0]
        self.counts.update(
            corrected=int((right & ~before).sum()),
            spoiled=int((~right & before).sum()),
            referenced=result.aligned is not None,
            unaligned=result.aligned is False,
        )

    def scores(self) -> dict[str, float | None]:
        """Everything in percent; None where no pixel was counted.

        Returns:
            `pixel_accuracy`, `accuracy_<group>` (share of right pixels among those of the group's
            classes), those of `flat_scores`, `corrected`, `spoiled` (shares of the labelled
            pixels), `unaligned` (share of the views; None without references), and
            `confidence/<low>-<high>/share` and `/accuracy` of each bin.

        Raises:
            ValueError: No labelled pixel was counted.
        """
        iou = flat_scores(iou_scores(self.confusion, CLASSES))
        of_class, right = self.confusion.sum(axis=1), self.confusion.diagonal()
        total, counts = of_class.sum(), self.counts
        scores = {'pixel_accuracy': _percent(right.sum(), total)}
        for group, names in reported_groups(CLASSES).items():
            ids = list(class_ids(names, CLASSES))
            scores[f'accuracy_{group}'] = _percent(right[ids].sum(), of_class[ids].sum())
        scores |= iou | {name: _percent(counts[name], total) for name in ('corrected', 'spoiled')}
        scores['unaligned'] = _percent(counts['unaligned'], counts['referenced'])
        for name, pixels, hits in zip(_RANGES, self.pixels, self.right, strict=True):
            scores[f'confidence/{name}/share'] = _percent(pixels, total)
            scores[f'confidence/{name}/accuracy'] = _percent(hits, pixels)
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


def confidence_bins(results: Mapping[str, Any]) -> dict[str, list[Bin]]:
    """Aligner -> its bins in a flat result, from low to high confidence."""
    aligners = [key.removesuffix('/mIoU') for key in results if key.endswith('/mIoU')]
    keys = {a: [f'{a}/confidence/{name}' for name in _RANGES] for a in aligners}
    return {
        aligner: [
            Bin(i / BINS, (i + 1) / BINS, results[f'{key}/accuracy'], results[f'{key}/share'])
            for i, key in enumerate(listed)
        ]
        for aligner, listed in keys.items()
    }


def format_worth(results: Mapping[str, Any]) -> str:
    """A flat result as two tables: scores, and accuracy with the share of pixels by confidence."""
    bins = confidence_bins(results)
    scores = [[title, *(_cell(results[f'{a}/{key}']) for a in bins)] for key, title in ROWS.items()]
    by_confidence = [
        [f'{row[0].low:.2f} to {row[0].high:.2f}']
        + [f'{_cell(each.accuracy)} ({_cell(each.share, 1)})' for each in row]
        for row in zip(*bins.values(), strict=True)
    ]
    heading = 'right pixels by confidence (in brackets: share of the pixels)'
    tables = [text_table(['', *bins], rows) for rows in (scores, by_confidence)]
    return f'{tables[0]}\n\n{heading}\n{tables[1]}'


def _cell(value: float | None, digits: int = 2) -> str:
    return '-' if value is None else f'{value:.{digits}f}'
