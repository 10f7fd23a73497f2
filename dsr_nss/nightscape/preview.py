"""The picture for the README: source with label, night, day reference."""

from pathlib import Path

import cv2
import numpy as np

from dsr_nss.classes import PALETTE
from dsr_nss.errors import ConfigError
from dsr_nss.nightscape.scenes import render_pair, render_source

#: Scenes that show much of what there is: (source scene, pair).
_ROWS = ((0, 6), (9, 1))
_HEIGHT = 184  # of a view, pixels


def colour_label(label: np.ndarray) -> np.ndarray:
    """(H, W) train ids to (H, W, 3) RGB, black where unlabelled."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(PALETTE)] = PALETTE
    return table[label]


def write_preview(path: Path | str, seed: int = 0) -> Path:
    """Write the picture: a column with source scenes above their labels, night views, day views.

    Args:
        path: A `.png` or `.jpg` file; its folder is made.
        seed: Seed of the scenes.

    Raises:
        ConfigError: It has another ending.
    """
    path = Path(path)
    if path.suffix.lower() not in ('.png', '.jpg', '.jpeg'):
        raise ConfigError(f'the picture is a .png or .jpg file, got {path}')
    height = _HEIGHT
    size, gap = (height, 2 * height), 4
    rows = []
    for source_index, pair_index in _ROWS:
        source = render_source(seed, 'preview', source_index, size)
        pair = render_pair(seed, 'preview', pair_index, size)
        label = colour_label(source.label)
        half = np.hstack([source.image[:, : size[1] // 2], label[:, size[1] // 2 :]])
        bar = np.full((height, gap, 3), 255, np.uint8)
        rows.append(np.hstack([half, bar, pair.night.image, bar, pair.day.image]))
        rows.append(np.full((gap, rows[0].shape[1], 3), 255, np.uint8))
    picture = np.vstack(rows[:-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture[..., ::-1], (cv2.IMWRITE_PNG_COMPRESSION, 9)):
        raise OSError(f'could not write {path}')
    return path
