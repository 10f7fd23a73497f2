"""Pictures side by side, with captions."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

BACKGROUND = (255, 255, 255)
INK = (32, 33, 36)
FONT_SIZE = 15
#: Pixels between tiles and around them.
GAP = 8
_LINE = FONT_SIZE + 8


def fit(picture: np.ndarray, side: int, *, labels: bool = False) -> np.ndarray:
    """Shrinks a picture whose longer side exceeds `side`; a small one stays as it is.

    Args:
        picture: `(H, W, 3)` or `(H, W)` uint8.
        side: Pixels.
        labels: Take the nearest pixel, so that no colours are made up.
    """
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return picture
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST if labels else cv2.INTER_AREA)


def tile(rows: Sequence[Sequence[np.ndarray]], captions: Sequence[str]) -> np.ndarray:
    """A grid with a caption over each column.

    Args:
        rows: Pictures `(h, w, 3)` uint8; each row has one for each column. Sizes may differ.
        captions: Captions, one for each column.

    Returns:
        `(H, W, 3)` uint8 RGB.

    Raises:
        ValueError: A row has another number of pictures than there are captions.
    """
    if not rows or any(len(row) != len(captions) for row in rows):
        lengths = [len(row) for row in rows]
        raise ValueError(f'{len(captions)} captions but rows of {lengths} pictures')
    widths = [
        max(max(row[i].shape[1] for row in rows), text_width(captions[i]))
        for i in range(len(captions))
    ]
    heights = [max(picture.shape[0] for picture in row) for row in rows]
    size = (sum(widths) + GAP * (len(widths) + 1), _LINE + sum(heights) + GAP * (len(rows) + 1))
    canvas = Image.new('RGB', size, BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    lefts = [GAP + sum(widths[:i]) + GAP * i for i in range(len(widths))]
    for left, caption in zip(lefts, captions, strict=True):
        draw.text((left, GAP - 2), caption, fill=INK, font=_font())
    top = GAP + _LINE
    for row, height in zip(rows, heights, strict=True):
        for left, picture in zip(lefts, row, strict=True):
            canvas.paste(Image.fromarray(picture), (left, top))
        top += height + GAP
    return np.array(canvas)


def legend(classes: Sequence[str], palette: Sequence[Sequence[int]], width: int) -> np.ndarray:
    """The colours of classes as a strip.

    Args:
        classes: Names.
        palette: RGB of each.
        width: Width of the strip in pixels; names wrap.

    Returns:
        `(H, width, 3)` uint8 RGB.
    """
    box = FONT_SIZE - 1
    places, left, top = [], GAP, 0
    for name in classes:
        needed = box + 6 + text_width(name) + 2 * GAP
        if left > GAP and left + needed > width:
            left, top = GAP, top + _LINE
        places.append((left, top))
        left += needed
    canvas = Image.new('RGB', (width, top + _LINE + GAP), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for (x, y), name, colour in zip(places, classes, palette, strict=True):
        draw.rectangle((x, y + 2, x + box, y + 2 + box), fill=tuple(colour))
        draw.text((x + box + 6, y), name, fill=INK, font=_font())
    return np.array(canvas)


def headline(text: str, width: int) -> np.ndarray:
    """A line of text as a strip `(H, width, 3)` uint8 RGB."""
    canvas = Image.new('RGB', (width, _LINE + GAP), BACKGROUND)
    ImageDraw.Draw(canvas).text((GAP, GAP), text, fill=INK, font=_font())
    return np.array(canvas)


def text_width(text: str) -> int:
    """Pixels that a caption needs."""
    return int(np.ceil(_font().getlength(text)))


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(FONT_SIZE)
