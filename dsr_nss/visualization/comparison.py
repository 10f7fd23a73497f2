"""A prediction beside the image and its label."""

from collections.abc import Sequence

import numpy as np

from dsr_nss.classes import IGNORE_INDEX
from dsr_nss.visualization.colours import IGNORE_COLOUR, colourise
from dsr_nss.visualization.tiles import fit, headline, legend, tile

TILE_SIDE = 512
#: Of wrong pixels: unlike every class's colour.
ERROR_COLOUR = (255, 64, 0)


def classes_present(maps: Sequence[np.ndarray]) -> list[int]:
    """Ids that occur in labels or predictions, without 255."""
    return sorted({int(i) for ids in maps for i in np.unique(ids)} - {255})


def error_picture(
    image: np.ndarray,
    label: np.ndarray,
    prediction: np.ndarray,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    caption: str,
) -> np.ndarray:
    """Image | ground truth | prediction | errors, with a legend of the classes below.

    Args:
        image: `(H, W, 3)` uint8 RGB.
        label: `(H, W)` class ids, 255 = ignore.
        prediction: `(H, W)` class ids.
        classes: Names of all classes; the legend shows those that occur.
        palette: RGB of each class.
        caption: A line above.

    Returns:
        `(height, width, 3)` uint8 RGB.
    """
    maps = [fit(colourise(ids, palette), TILE_SIDE, labels=True) for ids in (label, prediction)]
    wrong = fit(_errors(image, label, prediction), TILE_SIDE, labels=True)
    captions = ['image', 'ground truth', 'prediction', 'errors']
    grid = tile([[fit(image, TILE_SIDE), *maps, wrong]], captions)
    present = classes_present([label, prediction])
    names = [*(classes[i] for i in present), 'not labelled', 'wrong']
    colours = [*(palette[i] for i in present), IGNORE_COLOUR, ERROR_COLOUR]
    width = grid.shape[1]
    return np.concatenate([headline(caption, width), grid, legend(names, colours, width)])


def _errors(image: np.ndarray, label: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Wrong pixels in `ERROR_COLOUR` over the image in faint grey; ignored pixels black."""
    grey = (0.5 * image.mean(axis=2, keepdims=True) + 90).repeat(3, axis=2).astype(np.uint8)
    grey[label != prediction] = ERROR_COLOUR
    grey[label == IGNORE_INDEX] = IGNORE_COLOUR
    return grey
