"""Where a training item's pixels come from: the image files, or a prepared cache of them."""

from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from dsr_nss.datasets import jpeg
from dsr_nss.datasets.images import read_image, read_label

#: (height, width)
Size = tuple[int, int]


class PixelFile(NamedTuple):
    """A file as an item reads it.

    Attributes:
        path: The image or label file.
        is_label: Whether it is a label.
        size: (height, width) that it is resized to after decoding; None keeps its own.
    """

    path: str
    is_label: bool
    size: Size | None


class Pixels(NamedTuple):
    """What a file holds.

    Attributes:
        array: `(H, W, 3)` uint8 RGB of an image, `(H, W)` uint8 class ids of a label, at the size
            that was asked for. It may be read-only.
        native: (height, width) of the file itself.
    """

    array: np.ndarray
    native: Size


class PixelSource(Protocol):
    """Gives the pixels of files."""

    def read(self, file: PixelFile) -> Pixels:
        """The pixels of a file.

        Raises:
            DataError: They cannot be had; the message says why and what to do.
            FileNotFoundError: There is no such file.
        """


class DecodedFiles:
    """Decodes the file itself, every time."""

    def read(self, file: PixelFile) -> Pixels:
        """See `PixelSource`."""
        array = read_label(file.path) if file.is_label else read_image(file.path)
        return Pixels(_resize(array, file), _size_of(array))


def decoded_by(file: PixelFile) -> str:
    """The libraries whose versions can change the pixels of a file; '' if none can."""
    libraries = [] if Path(file.path).suffix.lower() == '.png' else [jpeg.decoder()]
    resizes = [] if file.size is None else [f'OpenCV {cv2.__version__}']
    return ', '.join(dict.fromkeys(libraries + resizes))


def _resize(array: np.ndarray, file: PixelFile) -> np.ndarray:
    if file.size is None or _size_of(array) == file.size:
        return array
    interpolation = cv2.INTER_NEAREST if file.is_label else cv2.INTER_LINEAR
    return cv2.resize(array, file.size[::-1], interpolation=interpolation)


def resize_image(image: np.ndarray, size: Size) -> np.ndarray:
    """An image at another size, averaged where it shrinks (photographs do so severalfold).

    Training items are resized by `DecodedFiles` instead: bilinear, as the published ones.

    Args:
        image: `(H, W, 3)` uint8.
        size: (height, width).
    """
    if _size_of(image) == size:
        return image
    shrinks = image.shape[0] * image.shape[1] > size[0] * size[1]
    return cv2.resize(
        image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def _size_of(array: np.ndarray) -> Size:
    return array.shape[0], array.shape[1]
