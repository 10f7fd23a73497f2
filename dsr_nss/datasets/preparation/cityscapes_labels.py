"""Cityscapes train ids from the published label ids or polygons."""

import json
import math
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from dsr_nss.classes import CLASSES, IGNORE_INDEX
from dsr_nss.datasets.base import find_files
from dsr_nss.datasets.images import MAX_PIXELS, count_ids, image_size, read_label, size_by_start
from dsr_nss.datasets.listed_files import read_text
from dsr_nss.errors import DataError
from dsr_nss.files import write_atomically
from dsr_nss.pool import map_files

#: Label id of each class in the order of `CLASSES` (the public Cityscapes definition).
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_MAX_LABEL_ID = 33
#: Names of annotated things that are no train class: drawn as ignore, in the order of annotation.
_IGNORED = (
    'unlabeled', 'ego vehicle', 'rectification border', 'out of roi', 'static', 'dynamic', 'ground',
    'parking', 'rail track', 'guard rail', 'bridge', 'tunnel', 'polegroup', 'caravan', 'trailer',
)  # fmt: skip
#: Annotated but not part of any label image.
_NOT_DRAWN = ('license plate',)

TRAIN_IDS, LABELS = '_gtFine_labelTrainIds.png', '_gtFine_labelIds.png'
#: Sets with Cityscapes' ids have this ending, NightCity for instance.
_ANY_LABELS = '_labelIds.png'
POLYGONS = '_gtFine_polygons.json'


def train_id_table() -> np.ndarray:
    """`(256,)` uint8: the train id of each label id; 255 (ignore) for all others."""
    table = np.full(256, IGNORE_INDEX, np.uint8)
    table[list(LABEL_IDS)] = np.arange(len(LABEL_IDS))
    return table


def train_ids_of_label_ids(path: Path) -> np.ndarray:
    """Train ids `(H, W)` of a `labelIds` image.

    Raises:
        DataError: The image has values that are no Cityscapes label ids.
    """
    label = read_label(path)
    bad = [int(i) for i in np.flatnonzero(count_ids(label)[:IGNORE_INDEX]) if i > _MAX_LABEL_ID]
    if bad:
        raise DataError(f'{path}: the values {bad} are no Cityscapes label ids (0..33)')
    return train_id_table()[label]


def train_ids_of_polygons(path: Path) -> np.ndarray:
    """Train ids `(H, W)` of a `polygons` file: its objects painted one over the other.

    Raises:
        DataError: The file is no such annotation, or names an unknown label.
    """
    try:
        content = json.loads(read_text(path))
        canvas = Image.new('L', _canvas_size(content), IGNORE_INDEX)
        draw = ImageDraw.Draw(canvas)
        for thing in content['objects']:
            value = None if thing.get('deleted') else _train_id(thing['label'])
            if value is not None:
                draw.polygon(_corners(thing['polygon']), fill=value)
    except (ValueError, LookupError, TypeError, OverflowError, AttributeError, RecursionError) as e:
        if isinstance(e, DataError):
            raise
        raise DataError(f'{path}: no Cityscapes polygons ({type(e).__name__}: {e})') from None
    return np.array(canvas)


def _canvas_size(content: dict) -> tuple[int, int]:
    """(width, height); checked before memory is taken for it."""
    sides = content['imgWidth'], content['imgHeight']
    if not all(type(side) is int and side > 0 for side in sides):
        raise ValueError(f'imgWidth and imgHeight are {sides[0]!r} and {sides[1]!r}')
    if sides[0] * sides[1] > MAX_PIXELS:
        raise ValueError(f'imgWidth and imgHeight say {sides[0]}x{sides[1]} pixels')
    return sides


def _corners(polygon: list) -> list[tuple[float, float]]:
    corners = [(float(x), float(y)) for x, y in polygon]
    if not all(math.isfinite(number) for corner in corners for number in corner):
        raise ValueError('a polygon has a corner that is no finite number')
    return corners


def _train_id(label: str) -> int | None:
    """Train id of an annotated label; None for what is not drawn."""
    if label in _NOT_DRAWN:
        return None
    if label in _IGNORED:
        return IGNORE_INDEX
    # A crowd that could not be separated (`persongroup`) counts as its class.
    name = label if label in CLASSES else label.removesuffix('group')
    if name not in CLASSES:
        raise ValueError(f'unknown label {label!r}')
    return CLASSES.index(name)


def _make(root: Path, stem: str) -> bool:
    """Makes the train ids of one image unless they are there; whether it did."""
    target = Path(stem + TRAIN_IDS)
    if target.is_file():
        return False
    labels, polygons = Path(stem + LABELS), Path(stem + POLYGONS)
    source = labels if labels.is_file() else polygons
    label = train_ids_of_label_ids(labels) if source == labels else train_ids_of_polygons(polygons)
    image = root / 'leftImg8bit' / f'{Path(stem).relative_to(root / "gtFine")}_leftImg8bit.png'
    if image.is_file() and label.shape not in (size_by_start(image), image_size(image)):
        sizes = ['x'.join(map(str, size)) for size in (label.shape, image_size(image))]
        raise DataError(f'{source} is {sizes[0]} (height x width) but {image} is {sizes[1]}')
    encoded, data = cv2.imencode('.png', label)
    assert encoded
    write_atomically(target, data.tobytes())
    return True


def make_train_ids_of_folder(folder: Path, *, workers: int = 1) -> int:
    """Makes `<name>_labelTrainIds.png` beside every `<name>_labelIds.png` below a folder.

    Returns:
        How many were made; those that exist are kept.

    Raises:
        FileNotFoundError: There is no `*_labelIds.png`.
        DataError: Files cannot be used; names them, and the others are made.
    """
    files = find_files(folder, _ANY_LABELS)
    if not files:
        raise FileNotFoundError(f'no *{_ANY_LABELS} below {folder}')
    return sum(map_files(_convert, files, workers=workers, description='train ids'))


def _convert(path: Path) -> bool:
    target = path.with_name(path.name.removesuffix(_ANY_LABELS) + '_labelTrainIds.png')
    if target.is_file():
        return False
    encoded, data = cv2.imencode('.png', train_ids_of_label_ids(path))
    assert encoded
    write_atomically(target, data.tobytes())
    return True


def make_train_ids(root: Path, splits: tuple[str, ...], *, workers: int = 1) -> int:
    """Makes `labelTrainIds` beside every `labelIds` (or `polygons`) file.

    Args:
        root: Root of the set.
        splits: Splits to convert.
        workers: Processes.

    Returns:
        How many were made; those that exist are kept.
    """
    stems = set()
    for split in splits:
        for ending in (TRAIN_IDS, LABELS, POLYGONS):
            for path in find_files(root / 'gtFine' / split, ending):
                stems.add(str(path).removesuffix(ending))
    make = partial(_make, root)
    return sum(map_files(make, sorted(stems), workers=workers, description='train ids'))
