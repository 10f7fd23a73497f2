"""Reading images and labels: the one place where a file becomes pixels.

Pixels stand upright (EXIF's orientation, of images and of labels) and have 8 bits. A decoder that
guesses (a 16-bit image scaled down, alpha dropped, the lower half of a damaged file filled with
grey) would train on wrong pixels without a word, so these cases are refused, by name.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from dsr_nss.classes import IGNORE_INDEX
from dsr_nss.datasets import jpeg, png
from dsr_nss.datasets.label_ids import likely_cause
from dsr_nss.datasets.orientation import orientation, swaps_sides, upright
from dsr_nss.datasets.regular_files import read_bytes
from dsr_nss.errors import DataError

#: The most pixels of an image: eight times a photograph of 32 megapixels. A file of a megabyte can
#: claim to hold a hundred times as many, and its pixels would fill the memory.
MAX_PIXELS = 2**28
#: How many bytes of a file to read for its size; only a JPEG with huge tags needs more.
_START = 2**16


class _Header(NamedTuple):
    """The header of either kind, and how its pixels are turned."""

    of_png: png.PngHeader | None
    of_jpeg: jpeg.JpegHeader | None
    size: tuple[int, int]
    turn: int

    @property
    def upright_size(self) -> tuple[int, int]:
        """(height, width) after turning."""
        return self.size[::-1] if swaps_sides(self.turn) else self.size


def read_image(path: str | Path) -> np.ndarray:
    """Reads a PNG or JPEG image.

    Args:
        path: The file.

    Returns:
        `(H, W, 3)` uint8, RGB, upright. A grey image has three equal channels.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is no PNG or JPEG file, empty, truncated, damaged, has 16 bits a channel, an
            alpha channel, CMYK colours or more than `MAX_PIXELS` pixels.
    """
    return _decode_image(read_bytes(path), path)


def read_label(path: str | Path) -> np.ndarray:
    """Reads a label PNG whose pixel values (or palette indices) are class ids.

    Args:
        path: The file.

    Returns:
        `(H, W)` uint8, upright; the ids are not checked here (see `check_label_ids`).

    Raises:
        FileNotFoundError: There is no such file.
        DataError: The file is empty, truncated, damaged, no PNG, holds colours or values of another
            depth than 8 bits (palette indices may have fewer), or has more than `MAX_PIXELS`.
    """
    return _decode_label(read_bytes(path), path)


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) of an image or label, upright, without decoding it.

    Raises:
        FileNotFoundError, DataError: As `read_image`, as far as a header tells.
    """
    return _header(read_bytes(path), path).upright_size


def size_by_start(path: str | Path) -> tuple[int, int]:
    """`image_size` as the start of the file tells it: the end is not looked at.

    The two can differ by a quarter turn, for a PNG whose orientation stands behind its pixels.
    """
    try:
        return _header(read_bytes(path, _START), path, whole=False).upright_size
    except DataError:  # an EXIF thumbnail or a profile may be longer
        return image_size(path)


def check_label_size(image: str | Path, label: str | Path) -> None:
    """Checks, without decoding them, that an image and its label have the same size.

    Raises:
        FileNotFoundError, DataError: They have not, or a file cannot be used.
    """
    if size_by_start(image) != size_by_start(label):
        require_same_size(image, image_size(image), label, image_size(label))


def require_same_size(
    image: str | Path,
    size: Sequence[int],
    label: str | Path,
    label_size: Sequence[int],
) -> None:
    """Raises `DataError` where an image and its label differ in (height, width)."""
    if tuple(size) != tuple(label_size):
        texts = ['x'.join(map(str, pair)) for pair in (size, label_size)]
        raise DataError(
            f'{image} is {texts[0]} (height x width) but its label {label} is {texts[1]}; '
            'they must have the same size'
        )


def _header(data: bytes, path: str | Path, whole: bool = True) -> _Header:
    """Raises `DataError` for a file that no reader takes, whatever it is to be."""
    of_png = of_jpeg = None
    try:
        if data.startswith(png.SIGNATURE):
            of_png = png.header(data, whole)
        elif data.startswith(jpeg.SIGNATURE):
            of_jpeg = jpeg.header(data, whole)
        else:
            raise DataError(f'{path}: neither a PNG nor a JPEG file')
        header = of_png or of_jpeg
        assert header is not None
        turn = orientation(header.exif)
    except EOFError:
        raise DataError(
            f'{path}: the file is truncated ({len(data)} bytes); get it again'
        ) from None
    except ValueError as error:
        raise error if isinstance(error, DataError) else _undecodable(path, error) from None
    height, width = header.size
    if height * width > MAX_PIXELS:
        raise DataError(
            f'{path}: {height}x{width} pixels (height x width), more than {MAX_PIXELS}; scale it '
            'down or cut it into parts'
        )
    return _Header(of_png, of_jpeg, header.size, turn)


def _undecodable(path: str | Path, why: object) -> DataError:
    return DataError(f'{path}: cannot be decoded ({why}); get it again')


def _decode_image(data: bytes, path: str | Path) -> np.ndarray:
    header = _header(data, path)
    try:
        pixels = _image_of_png(data, header.of_png, path) if header.of_png else None
        if header.of_jpeg:
            pixels = _image_of_jpeg(data, header.of_jpeg, path)
        assert pixels is not None
        return upright(pixels, header.turn)
    except (MemoryError, cv2.error) as error:
        raise _too_large(path, header, error) from None


def _too_large(path: str | Path, header: _Header, error: Exception) -> DataError:
    height, width = header.size
    if isinstance(error, cv2.error) and error.code != cv2.Error.StsNoMem:
        return _undecodable(path, error.err)
    return DataError(f'{path}: its {height}x{width} pixels do not fit into the memory')


def _image_of_jpeg(data: bytes, header: jpeg.JpegHeader, path: str | Path) -> np.ndarray:
    if header.components not in (1, 3) or header.bits != 8:
        raise DataError(
            f'{path}: a JPEG of {header.components} components of {header.bits} bits (CMYK has 4); '
            'save it as 8-bit RGB'
        )
    try:
        return jpeg.decode(data)
    except ValueError as error:
        raise _undecodable(path, error) from None


def _image_of_png(data: bytes, header: png.PngHeader, path: str | Path) -> np.ndarray:
    if header.bits == 16:
        raise DataError(f'{path}: a 16-bit PNG; save it with 8 bits a channel')
    if header.colour in png.WITH_ALPHA or header.transparent:
        raise DataError(
            f'{path}: a PNG with an alpha channel or a transparent colour; save it as plain RGB'
        )
    if header.colour == png.RGB:
        pixels = png.decode(data)
        if pixels is not None:
            return pixels
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    array = _by_opencv(data, flags, path)
    return cv2.cvtColor(array, cv2.COLOR_BGR2RGB)


def _by_opencv(data: bytes, flags: int, path: str | Path) -> np.ndarray:
    array = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if array is None:
        raise _undecodable(path, 'the file is damaged')
    return array


def _decode_label(data: bytes, path: str | Path) -> np.ndarray:
    header = _header(data, path)
    if header.of_png is None:
        raise DataError(f'{path}: a label must be a PNG; JPEG changes the class ids')
    try:
        return upright(_label_of_png(data, header.of_png, path), header.turn)
    except (MemoryError, cv2.error) as error:
        raise _too_large(path, header, error) from None


def _label_of_png(data: bytes, header: png.PngHeader, path: str | Path) -> np.ndarray:
    if header.bits == 16 or (header.bits != 8 and header.colour != png.PALETTE):
        raise DataError(f'{path}: a {header.bits}-bit PNG; a label has 8 bits (class ids and 255)')
    if header.colour not in (png.GREY, png.PALETTE):
        raise DataError(
            f'{path}: a PNG with colours, not a label of class ids; save one 8-bit channel with '
            'the train id of each pixel (255 = ignore)'
        )
    pixels = png.decode(data)
    if pixels is not None:
        return pixels
    if header.colour == png.GREY and not header.transparent:
        return _by_opencv(data, cv2.IMREAD_UNCHANGED, path)
    try:  # OpenCV would give the colours of a palette instead of the indices
        return np.array(Image.open(io.BytesIO(data), formats=['PNG']))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _undecodable(path, error) from None


def count_ids(label: np.ndarray) -> np.ndarray:
    """How often each value occurs in a uint8 label: `(256,)` int64."""
    # OpenCV's histogram is several times faster than `np.bincount`, which first widens to int64;
    # its float32 counts are exact to 2**24 pixels.
    if label.size >= 2**24:
        return np.bincount(label.ravel(), minlength=256)
    counts = cv2.calcHist([np.ascontiguousarray(label)], [0], None, [256], [0, 256])
    return counts.ravel().astype(np.int64)


def check_label_ids(counts: np.ndarray, path: str | Path, num_classes: int) -> None:
    """Checks that a label holds train ids only.

    Args:
        counts: `(256,)` as `count_ids` returns.
        path: The label file, for the message.
        num_classes: Valid ids are `0..num_classes - 1` and 255.

    Raises:
        DataError: The label has other ids; the message lists them.
    """
    present = [int(i) for i in np.flatnonzero(counts)]
    bad = [i for i in present if i >= num_classes and i != IGNORE_INDEX]
    if bad:
        raise DataError(
            f'{path}: the label has the ids {bad}; valid are 0..{num_classes - 1} and '
            f'{IGNORE_INDEX} (ignore). {likely_cause(present, num_classes)}'
        )
