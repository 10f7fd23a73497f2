"""One file of every kind that people have, with the pixels that it must give, or its refusal.

Pillow gives the pixels: the package decodes with other libraries.
"""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

ORIENTATIONS = range(1, 9)
SIZE = (24, 40)
#: First pixel, and step, of each pass of an interlaced PNG: x, y, dx, dy.
_PASSES = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
)  # fmt: skip


@dataclass(frozen=True)
class OddFile:
    """A file.

    Attributes:
        name: Its name, which tells the kind.
        data: Its bytes.
        pixels: `(H, W, 3)` of an image, `(H, W)` of a label; None where it must be refused.
        refusal: Regular expression of what the message must say; '' where it is read.
    """

    name: str
    data: bytes
    pixels: np.ndarray | None = None
    refusal: str = ''


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def encode(array: np.ndarray, kind: str = 'PNG', mode: str | None = None, **options) -> bytes:
    image = Image.fromarray(array)
    if mode is not None:
        image = image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


def interlaced(array: np.ndarray) -> bytes:
    """An Adam7 PNG of 8 bits, which neither Pillow nor OpenCV write."""
    height, width = array.shape[:2]
    rows = b''
    for x, y, dx, dy in _PASSES:
        for row in array[y::dy, x::dx]:
            rows += b'\0' + row.tobytes() if row.size else b''
    colour = 2 if array.ndim == 3 else 0
    header = struct.pack('>IIBBBBB', width, height, 8, colour, 0, 0, 1)
    parts = chunk(b'IHDR', header), chunk(b'IDAT', zlib.compress(rows)), chunk(b'IEND', b'')
    return b'\x89PNG\r\n\x1a\n' + b''.join(parts)


def exif_behind_the_pixels(data: bytes) -> bytes:
    """The same PNG with its `eXIf` after `IDAT`, as some tools that only write tags leave it."""
    start = data.index(b'eXIf') - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], 'big')
    rest, last = data[:start] + data[end:-12], data[-12:]
    return rest + data[start:end] + last


def palette_png(indices: np.ndarray, bits: int, **options) -> bytes:
    image = Image.fromarray(indices, mode='P')
    image.putpalette(np.random.default_rng(3).integers(0, 256, 768, dtype=np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, 'PNG', bits=bits, **options)
    return buffer.getvalue()


def shown(data: bytes) -> np.ndarray:
    """What a viewer shows."""
    return np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert('RGB'))


def stored(data: bytes) -> np.ndarray:
    """The values of a file's pixels, upright."""
    return np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))


def odd_images() -> list[OddFile]:
    """Images of all kinds."""
    rng = np.random.default_rng(11)
    rgb = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    smooth = np.kron(rgb[::8, ::8], np.ones((8, 8, 1), np.uint8))
    grey, alpha = rgb[..., 0], rgb[..., :1]
    readable = {f'{n}.jpg': encode(smooth, 'JPEG', exif=_exif(n)) for n in ORIENTATIONS}
    readable |= {f'{n}.png': encode(rgb, exif=_exif(n)) for n in ORIENTATIONS}
    readable |= {
        f'palette_{bits}.png': palette_png(grey & 2**bits - 1, bits) for bits in (1, 2, 4, 8)
    }
    info = PngInfo()
    info.add(b'gAMA', struct.pack('>I', 45455))
    readable['gamma.png'] = encode(rgb, pnginfo=info)
    info = PngInfo()
    info.add(b'sRGB', b'\0')
    readable |= {
        'srgb.png': encode(rgb, pnginfo=info),
        'late_exif.png': exif_behind_the_pixels(encode(rgb, exif=_exif(6))),
        'no_orientation.jpg': encode(smooth, 'JPEG', exif=_exif(0)),
        'grey.png': encode(grey),
        'grey_1.png': encode(grey, mode='1'),
        'grey.jpg': encode(grey, 'JPEG'),
        'interlaced.png': interlaced(rgb),
        'interlaced_grey.png': interlaced(grey),
        'progressive.jpg': encode(smooth, 'JPEG', progressive=True, exif=_exif(8)),
        'behind.png': encode(rgb) + encode(smooth)[500:] + bytes(3000),
        'behind.jpg': encode(smooth, 'JPEG') + bytes(5000),
    }
    deep = np.full(SIZE, 3000, np.uint16)
    refused = {
        'alpha.png': (encode(np.dstack([rgb, alpha])), 'alpha channel'),
        'grey_alpha.png': (encode(np.dstack([grey, grey])), 'alpha channel'),
        'key.png': (encode(rgb, transparency=(1, 2, 3)), 'transparent colour'),
        'palette_key.png': (palette_png(grey, 8, transparency=3), 'transparent colour'),
        'deep.png': (encode(deep), '16-bit PNG'),
        'cmyk.jpg': (encode(smooth, 'JPEG', mode='CMYK'), 'CMYK'),
        'picture.png': (encode(rgb, 'GIF'), 'neither a PNG nor a JPEG'),
        'empty.png': (b'', 'is empty'),
        'cut.png': (encode(rgb)[:-15], 'truncated'),
        'cut.jpg': (encode(smooth, 'JPEG')[:-15], 'truncated'),
    }
    files = [OddFile(name, data, shown(data)) for name, data in readable.items()]
    return files + [OddFile(name, data, None, text) for name, (data, text) in refused.items()]


def odd_labels() -> list[OddFile]:
    """Labels of all kinds; the ids are those of classes."""
    ids = np.random.default_rng(12).integers(0, 16, SIZE, dtype=np.uint8)
    readable = {f'{n}.png': encode(ids, exif=_exif(n)) for n in ORIENTATIONS}
    readable |= {
        f'palette_{bits}.png': palette_png(ids & 2**bits - 1, bits) for bits in (1, 2, 4, 8)
    }
    readable |= {
        'palette_turned.png': palette_png(ids, 8, exif=_exif(5)),
        'palette_key.png': palette_png(ids, 8, transparency=3),
        'key.png': encode(ids, transparency=3),
        'interlaced.png': interlaced(ids),
        'behind.png': encode(ids) + bytes(3000),
    }
    rgb = np.dstack([ids] * 3)
    refused = {
        'deep.png': (encode(ids.astype(np.uint16)), '16-bit PNG; a label has 8 bits'),
        'one_bit.png': (encode(255 * (ids % 2), mode='1'), '1-bit PNG; a label has 8 bits'),
        'alpha.png': (encode(np.dstack([rgb, ids])), 'with colours, not a label'),
        'grey_alpha.png': (encode(np.dstack([ids, ids])), 'with colours, not a label'),
        'colours.png': (encode(rgb), 'with colours, not a label'),
        'photo.png': (encode(rgb, 'JPEG'), 'must be a PNG'),
        'cut.png': (encode(ids)[:-15], 'truncated'),
    }
    files = [OddFile(name, data, stored(data)) for name, data in readable.items()]
    return files + [OddFile(name, data, None, text) for name, (data, text) in refused.items()]
