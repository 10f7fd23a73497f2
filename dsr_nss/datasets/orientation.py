"""EXIF's orientation: how the stored pixels are turned to stand upright.

Phones and dashcams store what the sensor saw and say by a tag how the camera was held; viewers and
labelling tools turn the picture. So does every reader of this package, once, where it decodes.
"""

import struct
from collections.abc import Callable

import numpy as np

_ORIENTATION = 0x0112
#: Format of one value of EXIF's whole-number types.
_WHOLE_NUMBERS = {1: 'B', 3: 'H', 4: 'I'}
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}


def orientation(exif: bytes | None) -> int:
    """EXIF's orientation, 1 to 8.

    Args:
        exif: EXIF data: the content of a PNG's `eXIf`, or of a JPEG's APP1 after `Exif`.

    Returns:
        1 (upright) also without data, without the tag, for what is no EXIF data, and for numbers
        that mean nothing: cameras write 0 where they do not know, and viewers show such pictures as
        they are stored.

    Raises:
        ValueError: The data break off.
    """
    order = None if exif is None else {b'II': '<', b'MM': '>'}.get(exif[:2])
    if exif is None or order is None:
        return 1
    try:
        (place,) = struct.unpack_from(f'{order}I', exif, 4)
        (count,) = struct.unpack_from(f'{order}H', exif, place)
        for entry in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f'{order}HH', exif, entry)
            if tag == _ORIENTATION and kind in _WHOLE_NUMBERS:
                (value,) = struct.unpack_from(order + _WHOLE_NUMBERS[kind], exif, entry + 8)
                return value if value in _TURNS else 1
    except struct.error as error:
        raise ValueError(f'EXIF data that break off ({error})') from None
    return 1


def swaps_sides(turn: int) -> bool:
    """Whether the upright image is as wide as the stored one is high."""
    return turn >= 5


def upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    """Stored pixels `(H, W, ...)` as `orientation` says that they stand upright, contiguous."""
    return pixels if turn not in _TURNS else np.ascontiguousarray(_TURNS[turn](pixels))
