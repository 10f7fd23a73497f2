"""Pictures of what alignment is worth: refined pseudo-labels, and accuracy by confidence."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dsr_nss.classes import CLASSES, IGNORE_INDEX, PALETTE
from dsr_nss.studies.refinement.scores import Bin
from dsr_nss.studies.refinement.views import Pair, Refined
from dsr_nss.visualization.colours import IGNORE_COLOUR, colourise
from dsr_nss.visualization.curves import LINE_COLOURS
from dsr_nss.visualization.tiles import BACKGROUND, headline, legend, tile

#: Tiles have this width; smaller views are enlarged.
TILE_WIDTH = 288
#: Pixels against the prediction without a reference.
CORRECTED, SPOILED, STILL_WRONG = (0, 158, 115), (213, 94, 0), (240, 200, 90)
UNCHANGED = (225, 227, 230)
MARKS = ('o', 's', '^', 'D', 'v', 'P')
#: Percent of the pixels below which a bin's accuracy is chance, and is not drawn.
MIN_SHARE = 0.1


def view_picture(pair: Pair, results: Mapping[str, Refined]) -> np.ndarray:
    """Three rows: images, labels, changes; first the truth, then one column an aligner.

    Args:
        pair: The images and the truth.
        results: Title -> pseudo-label. The first is the night prediction alone, against which
            changes are shown.

    Returns:
        `(height, width, 3)` uint8 RGB.
    """
    alone = next(iter(results.values())).label
    images, labels = [pair.night], [pair.label]
    changes = [np.full_like(pair.night, BACKGROUND[0])]
    captions = ['night, truth']
    for title, result in results.items():
        images.append(pair.day if result.warped_day is None else result.warped_day)
        labels.append(result.label)
        changes.append(change_picture(pair.label, alone, result.label))
        captions.append(f'{title}: {accuracy(pair.label, result.label)}')
    rows = [
        [_to_width(image) for image in images],
        [_to_width(colourise(ids, PALETTE), labels=True) for ids in labels],
        [_to_width(picture, labels=True) for picture in changes],
    ]
    grid = tile(rows, captions)
    present = sorted({int(i) for ids in labels for i in np.unique(ids)} - {IGNORE_INDEX})
    names = [*(CLASSES[i] for i in present), 'not labelled']
    names += ['corrected by the day', 'spoiled by the day', 'wrong in both']
    colours = [*(PALETTE[i] for i in present), IGNORE_COLOUR, CORRECTED, SPOILED, STILL_WRONG]
    width = grid.shape[1]
    text = f'{pair.name}. Below: right pixels; white in a warped day: outside of it'
    return np.concatenate([headline(text, width), grid, legend(names, colours, width)])


def _to_width(picture: np.ndarray, *, labels: bool = False) -> np.ndarray:
    height, width = picture.shape[:2]
    size = (TILE_WIDTH, max(round(height * TILE_WIDTH / width), 1))
    shrink = cv2.INTER_AREA if width > TILE_WIDTH else cv2.INTER_LINEAR
    return cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST if labels else shrink)


def change_picture(truth: np.ndarray, alone: np.ndarray, refined: np.ndarray) -> np.ndarray:
    """What a refinement changed for the better and the worse: `(H, W, 3)` uint8 RGB.

    Args:
        truth: `(H, W)` class ids, 255 = ignore.
        alone: `(H, W)` class ids without a reference.
        refined: `(H, W)` class ids with one.
    """
    before, after = alone == truth, refined == truth
    picture = np.full((*truth.shape, 3), UNCHANGED, np.uint8)
    picture[~before & after] = CORRECTED
    picture[before & ~after] = SPOILED
    picture[~before & ~after] = STILL_WRONG
    picture[truth == IGNORE_INDEX] = IGNORE_COLOUR
    return picture


def accuracy(truth: np.ndarray, label: np.ndarray) -> str:
    """`'81.2 %'` of the labelled pixels are right, or `'-'` where there are none; ids `(H, W)`."""
    labelled = truth != IGNORE_INDEX
    return f'{100 * (label == truth)[labelled].mean():.1f} %' if labelled.any() else '-'


def confidence_figure(curves: Mapping[str, Sequence[Bin]], title: str) -> Figure:
    """Left accuracy over the confidence, right the share of the pixels in each bin.

    Args:
        curves: Aligner -> its bins; the first is the prediction without a reference. Bins with
            less than `MIN_SHARE` of the pixels are left out on the left.
        title: Above the left one.
    """
    figure = Figure(figsize=(10.4, 3.9), layout='constrained')
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 100], color='#bdc1c6', linewidth=1.2, linestyle='--')
    for i, (name, bins) in enumerate(curves.items()):
        centres = [(each.low + each.high) / 2 for each in bins]
        # the first, without a reference, is a broad band: another one may lie on it
        marker, width = (None, 5.0) if i == 0 else (MARKS[i % len(MARKS)], 1.6)
        style = dict(
            color=LINE_COLOURS[i % len(LINE_COLOURS)], alpha=0.6 if i == 0 else 1.0, marker=marker,
            markersize=4, linewidth=width, label=name,
        )  # fmt: skip
        values = [
            each.accuracy if each.accuracy is not None and each.share >= MIN_SHARE else np.nan
            for each in bins
        ]
        left.plot(centres, values, **style)
        right.plot(centres, [each.share for each in bins], **style)
    left.set_title(f'{title}: right pixels, %', loc='left', fontsize=11)
    right.set_title('share of the pixels, %', loc='left', fontsize=11)
    for axes in (left, right):
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        axes.set_xlabel('confidence of the pseudo-label')
        axes.grid(axis='y', color='#bdc1c6', alpha=0.5)
        axes.spines[['top', 'right']].set_visible(False)
    left.set_ylim(0, 100)
    right.legend(frameon=False, fontsize=9)
    return figure
