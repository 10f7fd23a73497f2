"""Pictures as files in memory, and as addresses that hold them."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

_QUALITY = 86
_KINDS = {'.png': 'image/png', '.jpg': 'image/jpeg', '.svg': 'image/svg+xml'}


def photo_jpeg(picture: np.ndarray) -> bytes:
    """`(H, W, 3)` uint8 RGB as a JPEG file."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def label_png(ids: np.ndarray, palette: Sequence[Sequence[int]]) -> bytes:
    """`(H, W)` class ids in their colours as a small exact PNG file; 255 is black.

    Args:
        ids: Class ids.
        palette: RGB of each class.
    """
    image = Image.fromarray(ids.astype(np.uint8))
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    image.putpalette(table.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, 'png', optimize=True)
    return buffer.getvalue()


def uri(ending: str, content: bytes) -> str:
    """A file as an address that holds it: `ending` is `'.png'`, `'.jpg'` or `'.svg'`."""
    return f'data:{_KINDS[ending]};base64,{base64.b64encode(content).decode()}'


def file_uri(path: Path) -> str:
    """The same for a file on the disk."""
    return uri(path.suffix, path.read_bytes())
