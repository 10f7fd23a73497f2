"""JPEG files: their header, and a decoder that tells of damage.

The format has no checksum. libjpeg fills what it cannot read with grey and says so in a warning,
which OpenCV and Pillow drop. `simplejpeg` (libjpeg-turbo) makes the warnings errors, gives the same
pixels and takes less time than OpenCV. What libjpeg itself takes without a warning is looked for
here: a long hole of zeros, and a progressive file that lacks a scan.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import simplejpeg

SIGNATURE = b'\xff\xd8'
_END, _SCAN, _TABLES, _APP1 = 0xD9, 0xDA, 0xC4, 0xE1
#: SOF markers; 0xC4, 0xC8 and 0xCC are no frames.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = 0xC2
_EXIF = b'Exif\x00\x00'
#: So many zero bytes in a row stand for no picture, see `_has_hole`.
_HOLE = bytes(64)


class JpegHeader(NamedTuple):
    """What a file says of itself.

    Attributes:
        size: (height, width) as stored.
        components: 1 (grey), 3 (colours) or 4 (CMYK).
        bits: Bits of a component.
        exif: EXIF data; None without.
    """

    size: tuple[int, int]
    components: int
    bits: int
    exif: bytes | None


def decoder() -> str:
    """The library whose version can change pixels."""
    return f'simplejpeg {simplejpeg.__version__}'


def header(data: bytes, whole: bool = True) -> JpegHeader:
    """Reads the header.

    Args:
        data: A JPEG file.
        whole: Also check as much of the rest as can be told without decoding. Bytes behind the
            end of the image, as phones append a video, are no part of it.

    Raises:
        EOFError: The file breaks off.
        ValueError: It is damaged; says how.
    """
    frame = exif = None
    first_symbols: dict[int, int] = {}
    refined: set[tuple[int, int]] = set()
    for marker, body, after in _segments(data):
        if marker == _APP1 and exif is None and body.startswith(_EXIF):
            exif = body[len(_EXIF) :]
        elif marker == _TABLES:
            first_symbols |= _first_symbols(body)
        elif marker in _FRAMES:
            frame = marker, body
            if not whole:
                break
        elif marker == _SCAN:
            if frame is None:
                raise ValueError('a scan before the size of the image')
            if not body or len(body) < 4 + 2 * body[0]:
                raise ValueError('a scan header that breaks off')
            if frame[0] == _PROGRESSIVE:
                refined |= _finished(body)
                continue
            if _has_hole(data, after, body, first_symbols):
                raise ValueError('a hole of zeros in the compressed data')
            if data.endswith(b'\xff\xd9'):
                break  # whether the scans are whole, the decoder tells
    if frame is None or len(frame[1]) < 6:
        raise ValueError('no size of the image')
    body, components = frame[1], frame[1][5]
    if len(body) < 6 + 3 * components:
        raise ValueError('a header of the image that breaks off')
    wanted = {(body[6 + 3 * i], k) for i in range(components) for k in range(64)}
    if whole and frame[0] == _PROGRESSIVE and wanted - refined:
        raise ValueError('a progressive JPEG that lacks scans')
    size = int.from_bytes(body[1:3], 'big'), int.from_bytes(body[3:5], 'big')
    return JpegHeader(size, components, body[0], exif)


def decode(data: bytes) -> np.ndarray:
    """Pixels as stored, `(H, W, 3)` uint8 RGB; a grey file has three equal channels.

    Raises:
        ValueError: The file is damaged, as far as the library can tell.
    """
    return simplejpeg.decode_jpeg(data, 'RGB', strict=True)


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(marker, content, place of what follows) up to the end marker.

    Raises:
        EOFError: The file breaks off before it.
    """
    position = len(SIGNATURE)
    while position + 1 < len(data):
        if data[position] != 0xFF:
            raise ValueError(f'no marker at byte {position}')
        marker = data[position + 1]
        if marker == 0xFF:  # may be repeated before a marker
            position += 1
            continue
        if marker == _END:
            return
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], 'big')
        yield marker, data[position + 4 : end], end
        position = _end_of_scan(data, end) if marker == _SCAN else end
    raise EOFError


def _end_of_scan(data: bytes, position: int) -> int:
    """Where the next segment begins: at a marker that is neither stuffing nor a restart."""
    while 0 <= (position := data.find(b'\xff', position)) < len(data) - 1:
        following = data[position + 1]
        if following not in (0, 0xFF) and not 0xD0 <= following <= 0xD7:
            return position
        position += 1 if following == 0xFF else 2
    return len(data)


def _first_symbols(tables: bytes) -> dict[int, int]:
    """Table of a DHT segment (kind and number) -> the symbol whose code is all zeros."""
    symbols, position = {}, 0
    while position + 17 < len(tables):
        symbols[tables[position]] = tables[position + 17]
        position += 17 + sum(tables[position + 1 : position + 17])
    return symbols


def _has_hole(data: bytes, start: int, scan: bytes, first_symbols: dict[int, int]) -> bool:
    """Whether zero bytes stand in a scan where zero bits do not mean that a block is empty.

    They do where the code of zeros of all its tables of AC coefficients is the end of the block
    (symbol 0). In the tables of the standard, which most cameras write, that of brightness is not.
    """
    hole = data.find(_HOLE, start)
    if hole < 0 or hole > _end_of_scan(data, start):
        return False
    selected = scan[2 : 2 + 2 * scan[0] : 2]
    return any(first_symbols.get(0x10 | tables & 15) != 0 for tables in selected)


def _finished(scan: bytes) -> set[tuple[int, int]]:
    """(component, coefficient) of which a scan header of a progressive file brings the last bit."""
    count = scan[0]
    first, last, precision = scan[1 + 2 * count : 4 + 2 * count]
    if precision & 15:
        return set()
    return {(scan[1 + 2 * i], k) for i in range(count) for k in range(first, last + 1)}
