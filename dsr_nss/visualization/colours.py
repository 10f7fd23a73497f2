"""Labels and networks' inputs as colours."""

from collections.abc import Sequence

import numpy as np

from dsr_nss.classes import IGNORE_INDEX

#: Colour of ignored pixels: no class has it.
IGNORE_COLOUR = (0, 0, 0)


def colourise(label: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """A label in the colours of its classes.

    Args:
        label: `(H, W)` integer class ids; ids beyond the palette (255 = ignore) become black.
        palette: RGB of each class.

    Returns:
        `(H, W, 3)` uint8.
    """
    table = np.tile(np.array(IGNORE_COLOUR, np.uint8), (IGNORE_INDEX + 1, 1))
    table[: len(palette)] = palette
    return table[label.astype(np.uint8)]


def grey(shares: np.ndarray) -> np.ndarray:
    """Shares as brightness: black is 0, white is 1.

    Args:
        shares: `(H, W)` float in 0..1.

    Returns:
        `(H, W, 3)` uint8.
    """
    return np.repeat((255 * shares.clip(0, 1)).round().astype(np.uint8)[..., None], 3, axis=2)


def overlay(
    image: np.ndarray, label: np.ndarray, palette: Sequence[Sequence[int]], opacity: float = 0.5
) -> np.ndarray:
    """The image with its label's colours over it; ignored pixels stay as they are.

    Args:
        image: `(H, W, 3)` uint8 RGB.
        label: `(H, W)` integer class ids.
        palette: RGB of each class.
        opacity: Opacity of the colours, in 0..1.

    Returns:
        `(H, W, 3)` uint8.
    """
    mixed = (1 - opacity) * image + opacity * colourise(label, palette)
    return np.where((label < len(palette))[..., None], mixed.round(), image).astype(np.uint8)
