"""Figures of scores: confusion matrix, UIoU curve. Imported by who needs it, like `curves`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsr_nss.files import write_bytes
from dsr_nss.visualization.curves import LINE_COLOURS, to_png

_DPI = 130
_INK, _FAINT = '#202124', '#bdc1c6'


def confusion_figure(confusion: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Confusion matrix as shares of the pixels of each target class.

    Args:
        confusion: `(K, K)` counts, rows are targets. Rows of classes that do not occur stay empty.
        classes: The `K` names.
        title: Title of the set.
    """
    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.where(totals > 0, 100 * confusion / np.maximum(totals, 1), np.nan)
    size = 2.6 + 0.42 * len(classes)
    figure, axes = _figure(size, size)
    axes.imshow(shares, cmap='Blues', vmin=0, vmax=100, aspect='equal')
    for row, column in zip(*np.nonzero(shares >= 0.5), strict=True):
        share = float(shares[row, column])
        axes.text(
            int(column), int(row), f'{share:.0f}', ha='center', va='center', fontsize=8,
            color='white' if share > 55 else _INK,
        )  # fmt: skip
    for row in np.flatnonzero(totals[:, 0] == 0).tolist():
        axes.axhspan(row - 0.5, row + 0.5, color='#f1f3f4')
        axes.text(
            len(classes) / 2 - 0.5, row, 'does not occur', ha='center', va='center',
            fontsize=8, color='#80868b',
        )  # fmt: skip
    ticks = range(len(classes))
    axes.set_xticks(ticks, classes, rotation=50, ha='right', rotation_mode='anchor')
    axes.set_yticks(ticks, classes)
    axes.set_xticks(np.arange(len(classes) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(classes) + 1) - 0.5, minor=True)
    axes.grid(which='minor', color='white', linewidth=1)
    axes.tick_params(which='both', length=0, colors=_INK)
    axes.spines[:].set_visible(False)
    axes.set_xlabel('predicted as')
    axes.set_ylabel('labelled as')
    axes.set_title(f'{title}: where the pixels of each class go, %', loc='left', fontsize=11)
    return figure


def uiou_figure(thresholds: np.ndarray, mean: np.ndarray, average: float, title: str) -> Figure:
    """UIoU over the confidence threshold, beside the mIoU of a model that never abstains.

    Args:
        thresholds: `(T,)`.
        mean: `(T,)` percent.
        average: Percent.
        title: Title of the set.
    """
    figure, axes = _figure(6.0, 3.6)
    axes.axhline(mean[0], color=LINE_COLOURS[0], linewidth=1.2, linestyle='--')
    axes.annotate(
        f'mIoU {mean[0]:.1f}', (1, mean[0]), xytext=(0, 4), textcoords='offset points',
        ha='right', fontsize=9, color='#5f6368',
    )  # fmt: skip
    axes.plot(thresholds, mean, color=LINE_COLOURS[2], linewidth=1.8)
    best = int(mean.argmax())
    axes.plot(thresholds[best], mean[best], 'o', color=LINE_COLOURS[2], markersize=5)
    axes.annotate(
        f'{mean[best]:.1f} at {thresholds[best]:.2f}', (thresholds[best], mean[best]),
        xytext=(0, 7), textcoords='offset points', ha='center', fontsize=9, color=LINE_COLOURS[2],
    )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.18 * max(mean))
    axes.set_xlabel('confidence below which a pixel is predicted as invalid')
    axes.set_title(f'{title}: UIoU, %, average {average:.1f}', loc='left', fontsize=11)
    axes.grid(axis='y', color=_FAINT, alpha=0.5)
    axes.spines[['top', 'right']].set_visible(False)
    return figure


def save_png(figure: Figure, path: str | Path) -> None:
    """Writes the figure with a white background."""
    write_bytes(path, to_png(figure, _DPI))


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout='constrained')
    return figure, figure.subplots()
