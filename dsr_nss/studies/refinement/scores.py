"""Scores of pseudo-labels: accuracy and IoU by class group, and accuracy by confidence."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from dsr_nss.classes import CLASSES, IGNORE_INDEX, class_ids, reported_groups
from dsr_nss.evaluation.iou import REPORTED_GROUPS, confusion_matrix, iou_scores

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


class PseudoLabel(Protocol):
    """What is counted.

    Attributes:
        label: `(H, W)` integer class ids.
        confidence: `(H, W)` in 0..1.
        aligned: False where no correspondence was found; None without a reference.
    """

    @property
    def label(self) -> np.ndarray: ...  # noqa: D102

    @property
    def confidence(self) -> np.ndarray: ...  # noqa: D102

    @property
    def aligned(self) -> bool | None: ...  # noqa: D102


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

    def add(self, result: PseudoLabel, alone: PseudoLabel, truth: np.ndarray) -> None:
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


def confidence_bins(results: Mapping[str, Any], aligner: str) -> list[tuple[float, float]]:
    """(low, high) of each bin of a flat result."""
    start, end = f'{aligner}/confidence/', '/share'
    texts = [
        key.removeprefix(start).removesuffix(end)
        for key in results
        if key.startswith(start) and key.endswith(end)
    ]
    return [(float(low), float(high)) for low, high in (text.split('-') for text in texts)]


def format_worth(results: Mapping[str, Any]) -> str:
    """A flat result as two tables: scores, and accuracy with the share of pixels by confidence."""
    names = aligner_names(results)
    scores = [(title, [_cell(results[f'{a}/{key}']) for a in names]) for key, title in ROWS.items()]
    bins = []
    for low, high in confidence_bins(results, names[0]):
        key = f'confidence/{low:.2f}-{high:.2f}'
        cells = [(results[f'{a}/{key}/accuracy'], results[f'{a}/{key}/share']) for a in names]
        bins.append((f'{low:.2f} to {high:.2f}', [f'{_cell(x)} ({_cell(y, 1)})' for x, y in cells]))
    first = max(len(title) for title, _ in scores + bins)
    heading = 'right pixels by confidence (in brackets: share of the pixels)'
    return '\n'.join([*_table(names, scores, first), '', heading, *_table(names, bins, first)])


def _cell(value: float | None, digits: int = 2) -> str:
    return '-' if value is None else f'{value:.{digits}f}'


def _table(columns: Sequence[str], rows: Sequence[tuple[str, list[str]]], first: int) -> list[str]:
    widths = [
        max(len(name), *(len(cells[i]) for _, cells in rows)) for i, name in enumerate(columns)
    ]

    def line(title: str, cells: Sequence[str]) -> str:
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        return '  '.join([title.ljust(first), *aligned])

    head = line('', columns)
    return [head, '-' * len(head), *(line(title, cells) for title, cells in rows)]
