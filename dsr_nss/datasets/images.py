"""Reading images and labels: 8-bit throughout, and every unusable file is named.

A decoder that guesses (a 16-bit image scaled down, alpha dropped, the lower half of a truncated
file filled with grey) would train on wrong pixels without a word, so these cases are refused.
"""

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dsr_nss.datasets import png
from dsr_nss.datasets.label_ids import likely_cause
from dsr_nss.errors import DataError

#: Bytes at the end of a file in which its end marker must lie; some writers append a few bytes.
_TAIL = 1024
#: In the compressed data of a JPEG, what begins its next segment: no stuffing and no restart.
_SEGMENT = re.compile(rb'\xff+[^\x00\xd0-\xd7\xff]')
_one_header = threading.Lock()


def _read_bytes(path: str | Path) -> bytes:
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: no such file') from None
    if not data:
        raise DataError(f'{path}: the file is empty; get it again')
    return data


def _check_complete(data: bytes, path: str | Path) -> None:
    """Raises `DataError` for a PNG or JPEG whose end marker is missing."""
    if data.startswith(png.SIGNATURE):
        complete = b'IEND' in data[-_TAIL:]
    elif data.startswith(b'\xff\xd8'):
        complete = b'\xff\xd9' in data[-_TAIL:] or _has_jpeg_end(data)
    else:
        raise DataError(f'{path}: neither a PNG nor a JPEG file')
    if not complete:
        raise DataError(f'{path}: the file is truncated ({len(data)} bytes); get it again')


def _has_jpeg_end(data: bytes) -> bool:
    """Whether a JPEG reaches its end marker, wherever: phones append videos to their pictures."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xD9:
            return True
        if marker == 0xFF:  # may be repeated before a marker
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], 'big')
        if marker == 0xDA:  # a scan: compressed data without a length follow its header
            following = _SEGMENT.search(data, position)
            if following is None:
                return False
            position = following.start()
    return data[position : position + 2] == b'\xff\xd9'


@contextmanager
def open_header(path: str | Path) -> Iterator[Image.Image]:
    """Pillow's view of an image file for its size and tags, of any size.

    Pillow refuses large images to protect programs that decode them; here nothing is decoded.
    """
    with _one_header:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    with image:
        yield image


def _png_kind(data: bytes) -> tuple[int, int] | None:
    """(bit depth, colour type) of a PNG file from its header; None for other files."""
    return (data[24], data[25]) if data.startswith(png.SIGNATURE) else None


def _decode(data: bytes, path: str | Path) -> np.ndarray:
    """What OpenCV makes of a file: colours in the order BGR."""
    try:
        array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DataError(f'{path}: cannot be decoded ({error.err}); get it again') from None
    if array is None:
        raise DataError(f'{path}: cannot be decoded; the file is damaged, get it again')
    return array


def read_image(path: str | Path) -> np.ndarray:
    """Reads a PNG or JPEG image.

    Args:
        path: The file.

    Returns:
        `(H, W, 3)` uint8, RGB. A grey image has three equal channels.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: The file is empty, truncated, damaged, has 16 bits a channel or an alpha channel.
    """
    return _decode_image(_read_bytes(path), path)


def _decode_image(data: bytes, path: str | Path) -> np.ndarray:
    _check_complete(data, path)
    kind = _png_kind(data)
    if kind and kind[0] == 16:
        raise DataError(f'{path}: a 16-bit PNG; save it with 8 bits a channel')
    if kind and kind[1] in png.WITH_ALPHA:
        raise DataError(f'{path}: a PNG with an alpha channel; save it as plain RGB')
    if kind and kind[1] == png.RGB:
        pixels = png.decode(data)
        if pixels is not None:
            return pixels
    array = _decode(data, path)
    if array.dtype != np.uint8 or (array.ndim == 3 and array.shape[2] != 3):
        raise DataError(
            f'{path}: {array.dtype} pixels of shape {array.shape}; save it as 8-bit RGB'
        )
    return cv2.cvtColor(array, cv2.COLOR_GRAY2RGB if array.ndim == 2 else cv2.COLOR_BGR2RGB)


def read_label(path: str | Path) -> np.ndarray:
    """Reads a label PNG whose pixel values (or palette indices) are class ids.

    Args:
        path: The file.

    Returns:
        `(H, W)` uint8; the ids are not checked here (see `check_label_ids`).

    Raises:
        FileNotFoundError: There is no such file.
        DataError: The file is empty, truncated, damaged, no PNG, or holds colours or 16-bit values.
    """
    return _decode_label(_read_bytes(path), path)


def _decode_label(data: bytes, path: str | Path) -> np.ndarray:
    _check_complete(data, path)
    kind = _png_kind(data)
    if kind is None:
        raise DataError(f'{path}: a label must be a PNG; JPEG changes the class ids')
    depth, colour = kind
    if colour in (png.GREY, png.PALETTE):
        pixels = png.decode(data)
        if pixels is not None:
            return pixels
    if colour == png.PALETTE:  # OpenCV would return the colours instead of the indices
        try:
            return np.array(Image.open(io.BytesIO(data)))
        except (OSError, SyntaxError) as error:
            raise DataError(f'{path}: cannot be decoded ({error}); get it again') from None
    if depth != 8:
        raise DataError(f'{path}: a {depth}-bit PNG; a label has 8 bits (class ids and 255)')
    if colour != 0:
        raise DataError(
            f'{path}: a PNG with colours, not a label of class ids; save one 8-bit channel with '
            'the train id of each pixel (255 = ignore)'
        )
    return _decode(data, path)


def count_ids(label: np.ndarray) -> np.ndarray:
    """How often each value occurs in a uint8 label: `(256,)` int64."""
    # OpenCV's histogram is several times faster than `np.bincount`, which first widens to int64;
    # its float32 counts are exact to 2**24 pixels.
    if label.size >= 2**24:
        return np.bincount(label.ravel(), minlength=256)
    counts = cv2.calcHist([np.ascontiguousarray(label)], [0], None, [256], [0, 256])
    return counts.ravel().astype(np.int64)


def check_label_ids(
    counts: np.ndarray, path: str | Path, num_classes: int, ignore_index: int = 255
) -> None:
    """Checks that a label holds train ids only.

    Args:
        counts: `(256,)` as `count_ids` returns.
        path: The label file, for the message.
        num_classes: Valid ids are `0..num_classes - 1` and `ignore_index`.
        ignore_index: The id of unlabelled pixels.

    Raises:
        DataError: The label has other ids; the message lists them.
    """
    bad = [int(i) for i in np.flatnonzero(counts) if i >= num_classes and i != ignore_index]
    if bad:
        present = [int(i) for i in np.flatnonzero(counts)]
        raise DataError(
            f'{path}: the label has the ids {bad}; valid are 0..{num_classes - 1} and '
            f'{ignore_index} (ignore). {likely_cause(present, num_classes)}'
        )
