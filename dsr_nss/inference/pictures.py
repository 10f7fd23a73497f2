"""Predictions as picture files."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from dsr_nss.files import make_folder, write_atomically
from dsr_nss.visualization.colours import colourise, overlay

#: Folders of the kinds of pictures below an output folder.
LABEL_FOLDER, COLOUR_FOLDER, OVERLAY_FOLDER = 'labelTrainIds', 'color', 'overlay'
#: Maps of few colours hardly get smaller by more effort.
_COMPRESSION = [cv2.IMWRITE_PNG_COMPRESSION, 1]


def write_picture(path: Path, pixels: np.ndarray) -> Path:
    """Writes a PNG whole or not at all, and its folder.

    Args:
        path: The file.
        pixels: `(H, W)` or `(H, W, 3)` RGB, uint8.
    """
    if not path.parent.is_dir():
        make_folder(path.parent)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return write_atomically(path, cv2.imencode('.png', pixels, _COMPRESSION)[1].tobytes())


def picture_file(out: Path, folder: str, name: str) -> Path:
    """`<out>/<folder>/<name>.png`."""
    return out / folder / f'{name}.png'


def write_prediction(
    ids: np.ndarray,
    name: str,
    out: Path,
    palette: Sequence[Sequence[int]],
    image: np.ndarray | None = None,
) -> None:
    """Writes `<folder>/<name>.png` of each kind: overlay (of an image), colours, class ids.

    The ids come last: where they are, all the others are.

    Args:
        ids: `(H, W)` uint8 class ids.
        name: Path below the folders, without suffix.
        out: Folder that holds the folders of the kinds.
        palette: RGB of each class.
        image: `(H, W, 3)` uint8 RGB: also write it with the colours over it.
    """
    if image is not None:
        write_picture(picture_file(out, OVERLAY_FOLDER, name), overlay(image, ids, palette))
    write_picture(picture_file(out, COLOUR_FOLDER, name), colourise(ids, palette))
    write_picture(picture_file(out, LABEL_FOLDER, name), ids)
