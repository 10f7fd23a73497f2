"""Pictures of what alignment is worth: refined pseudo-labels, and accuracy by confidence."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure

from dsr_nss.classes import CLASSES, IGNORE_INDEX, PALETTE
from dsr_nss.studies.refinement.scores import Bin
from dsr_nss.studies.refinement.views import Pair, Refined
from dsr_nss.visualization.colours import IGNORE_COLOUR, colourise
from dsr_nss.visualization.comparison import classes_present
from dsr_nss.visualization.curves import LINE_COLOURS
from dsr_nss.visualization.tiles import BACKGROUND, headline, legend, tile

#: Tiles have this width; smaller views are enlarged.
TILE_WIDTH = 288
#: Pixels against the prediction without a reference.
CORRECTED, SPOILED, STILL_WRONG = (0, 158, 115), (213, 94, 0), (240, 200, 90)
UNCHANGED = (225, 227, 230)
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
    refined = list(results.values())
    labels = [each.label for each in refined]
    days = [pair.day if each.warped_day is None else each.warped_day for each in refined]
    changes = [change_picture(pair.label, labels[0], ids) for ids in labels]
    rows = [
        [_to_width(image) for image in (pair.night, *days)],
        [_to_width(colourise(ids, PALETTE), labels=True) for ids in (pair.label, *labels)],
        [
            _to_width(picture, labels=True)
            for picture in (np.full_like(pair.night, BACKGROUND[0]), *changes)
        ],
    ]
    captions = [f'{title}: {accuracy(pair.label, each.label)}' for title, each in results.items()]
    grid = tile(rows, ['night, truth', *captions])
    present = classes_present([pair.label, *labels])
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
    colours = np.array([STILL_WRONG, CORRECTED, SPOILED, UNCHANGED], np.uint8)
    picture = colours[2 * (alone == truth) + (refined == truth)]
    picture[truth == IGNORE_INDEX] = IGNORE_COLOUR
    return picture


def accuracy(truth: np.ndarray, label: np.ndarray) -> str:
    """`'81.2 %'` of the labelled pixels are right, or `'-'` where there are none; ids `(H, W)`."""
    labelled = truth != IGNORE_INDEX
    return f'{100 * (label == truth)[labelled].mean():.1f} %' if labelled.any() else '-'


def confidence_figure(curves: Mapping[str, Sequence[Bin]]) -> Figure:
    """Left accuracy over the confidence, right the share of the pixels in each bin.

    Args:
        curves: Aligner -> its bins; the first is the prediction without a reference. Bins with
            less than `MIN_SHARE` of the pixels are left out on the left.
    """
    figure = Figure(figsize=(10.4, 3.9), layout='constrained')
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 100], color='#bdc1c6', linewidth=1.2, linestyle='--')
    for i, (name, bins) in enumerate(curves.items()):
        centres = [(each.low + each.high) / 2 for each in bins]
        style: dict[str, Any] = dict(color=LINE_COLOURS[i % len(LINE_COLOURS)], label=name)
        # the first, without a reference, is a broad band: another one may lie on it
        style |= dict(linewidth=5.0, alpha=0.6) if i == 0 else dict(marker='osvD^P'[i % 6])
        shown = [each.accuracy if each.share >= MIN_SHARE else None for each in bins]
        left.plot(centres, np.array(shown, float), **style)
        right.plot(centres, [each.share for each in bins], **style)
    left.set_title('pseudo-labels: right pixels, %', loc='left', fontsize=11)
    right.set_title('share of the pixels, %', loc='left', fontsize=11)
    for axes in (left, right):
        axes.set(xlim=(0, 1), xlabel='confidence of the pseudo-label')
        axes.set_ylim(bottom=0)
        axes.grid(axis='y', color='#bdc1c6', alpha=0.5)
        axes.spines[['top', 'right']].set_visible(False)
    left.set_ylim(0, 100)
    right.legend(frameon=False, fontsize=9)
    return figure
