"""PNG files: their header, and a faster decoder of plain 8-bit ones, from two optional packages.

Two thirds of the time of a PNG decoder go into zlib. `deflate` (libdeflate) inflates two to three
times as fast, and `pyspng` (libspng) undoes the row filters faster than OpenCV and Pillow; so the
pixels are inflated by the first and handed to the second as a PNG whose data are stored instead of
compressed. `pip install -e '.[fast]'` brings both. The pixels are the same either way.
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

try:
    deflate: Any = import_module('deflate')
    pyspng: Any = import_module('pyspng')
except ImportError:  # one of them is not enough
    deflate = pyspng = None

SIGNATURE = b'\x89PNG\r\n\x1a\n'
GREY, RGB, PALETTE = 0, 2, 3
WITH_ALPHA = (4, 6)
_CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1}
#: Most bytes of one stored block.
_BLOCK = 65535

_in_use = True


class PngHeader(NamedTuple):
    """What a file says of itself.

    Attributes:
        size: (height, width) as stored.
        bits: Bits of a channel, or of a palette index.
        colour: Colour type: `GREY`, `RGB`, `PALETTE` or one of `WITH_ALPHA`.
        interlaced: Whether the rows are interlaced.
        transparent: Whether one colour, or entries of the palette, are transparent (`tRNS`).
        exif: EXIF data (`eXIf`); None without.
    """

    size: tuple[int, int]
    bits: int
    colour: int
    interlaced: bool
    transparent: bool
    exif: bytes | None


def header(data: bytes, whole: bool = True) -> PngHeader:
    """Reads the header.

    Args:
        data: A PNG file. Bytes behind its end, as cropped screenshots have, are no part of it.
        whole: Whether `data` are the whole file; of a part what is there is read.

    Raises:
        EOFError: The file breaks off before its end chunk.
        ValueError: It does not begin with a header.
    """
    if len(data) < 33:
        raise EOFError
    if data[12:16] != b'IHDR' or _checksum(data[12:16], data[16:29]) != data[29:33]:
        raise ValueError('a damaged header')
    width, height, bits, colour, _, _, interlaced = struct.unpack('>IIBBBBB', data[16:29])
    kinds: dict[bytes, memoryview] = {}
    try:
        for kind, body in chunks(data):
            kinds[kind] = body
    except EOFError:
        if whole:
            raise
    exif = kinds.get(b'eXIf')
    return PngHeader(
        (height, width),
        bits,
        colour,
        bool(interlaced),
        b'tRNS' in kinds,
        None if exif is None else bytes(exif),
    )


def chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """(kind, content) of the chunks behind the signature, the end chunk included.

    Check sums of the pixels (`IDAT`) are left to the decoders.

    Raises:
        EOFError: The file breaks off before its end chunk.
        ValueError: Another chunk has not its check sum.
    """
    view, position = memoryview(data), len(SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from('>I4s', data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            break
        body = view[position + 8 : end]
        if kind != b'IDAT' and _checksum(kind, body) != data[end : end + 4]:
            raise ValueError(f'a damaged chunk at byte {position}')
        yield kind, body
        if kind == b'IEND':
            return
        position += 12 + length
    raise EOFError


def available() -> bool:
    """Whether the faster decoder is installed and in use."""
    return _in_use and pyspng is not None


@contextmanager
def not_in_use() -> Iterator[None]:
    """As if the faster decoder were not installed: to compare with it."""
    global _in_use
    before, _in_use = _in_use, False
    try:
        yield
    finally:
        _in_use = before


def decode(data: bytes) -> np.ndarray | None:
    """Decodes a plain PNG.

    Args:
        data: A PNG file.

    Returns:
        `(H, W, 3)` uint8 RGB, or `(H, W)` uint8 for a grey file and for the indices of a palette.
        None if this decoder is not `available`, does not do files of this kind (other depths, alpha
        or one transparent colour, interlaced), or finds the file damaged: OpenCV decides then.
    """
    if not available():
        return None
    try:
        stored = _with_stored_data(data)
        pixels = None if stored is None else pyspng.load(stored)
    except (RuntimeError, ValueError, EOFError, struct.error, deflate.DeflateError):
        return None
    if pixels is not None and pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    return pixels


def _with_stored_data(data: bytes) -> bytes | None:
    """The same pixels as a PNG that needs no inflating; palette indices become grey values."""
    (height, width), bits, colour, interlaced, transparent, _ = header(data)
    if bits != 8 or interlaced or colour not in _CHANNELS or (transparent and colour != PALETTE):
        return None
    compressed = b''.join(body for kind, body in chunks(data) if kind == b'IDAT')
    size = height * (1 + width * _CHANNELS[colour])
    rows = memoryview(deflate.zlib_decompress(compressed, size))
    if len(rows) != size:
        return None
    stored: list[bytes | memoryview] = [b'\x78\x01']
    for start in range(0, size, _BLOCK):
        block = rows[start : start + _BLOCK]
        last = start + _BLOCK >= size
        stored += [struct.pack('<BHH', last, len(block), len(block) ^ 0xFFFF), block]
    stored.append(struct.pack('>I', zlib.adler32(rows)))
    kept = GREY if colour == PALETTE else colour
    first = struct.pack('>IIBBBBB', width, height, 8, kept, 0, 0, 0)
    parts = [SIGNATURE]
    for kind, body in (b'IHDR', first), (b'IDAT', b''.join(stored)), (b'IEND', b''):
        parts += [struct.pack('>I4s', len(body), kind), body, _checksum(kind, body)]
    return b''.join(parts)


def _checksum(kind: bytes, body: bytes | memoryview) -> bytes:
    return struct.pack('>I', zlib.crc32(body, zlib.crc32(kind)))
