"""What is compared: pairs of images with the truth, whole or in crops, and their pseudo-labels."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dsr_nss.commands import call
from dsr_nss.datasets.crops import CropBox
from dsr_nss.datasets.dark_zurich import DarkZurich
from dsr_nss.datasets.pixels import DecodedFiles, PixelFile, Size
from dsr_nss.errors import DataError


class Pair(NamedTuple):
    """A night image and its day reference, or the same crop of both.

    Attributes:
        name: Frame, and number of the crop.
        night: `(H, W, 3)` uint8 RGB.
        day: `(H, W, 3)` uint8 RGB of the day reference.
        label: `(H, W)` uint8 train ids of the night image, 255 = ignore.
    """

    name: str
    night: np.ndarray
    day: np.ndarray
    label: np.ndarray


class Refined(NamedTuple):
    """A pseudo-label.

    Attributes:
        label: `(H, W)` int64 class ids.
        confidence: `(H, W)` float32, the maximal score.
        aligned: False where no correspondence was found; None without a reference.
        warped_day: `(H, W, 3)` uint8 RGB, white outside of the day image; None without.
    """

    label: np.ndarray
    confidence: np.ndarray
    aligned: bool | None = None
    warped_day: np.ndarray | None = None


def pair_files(data_root: str | Path) -> list[tuple[str, str, str]]:
    """Night image, day reference and label of night of each train pair.

    Raises:
        FileNotFoundError: The images or labels are not there.
    """
    root = Path(data_root)
    if not (root / 'truth').is_dir():
        raise FileNotFoundError(
            f'{root} has no folder truth: --data-root must be a nightscape '
            f'(`{call("make_nightscape")} data/nightscape` makes one)'
        )
    dataset = DarkZurich(data_root=str(root / 'dark_zurich'), split='train')
    files = []
    for info in map(dataset.get_data_info, range(len(dataset))):
        label = root / 'truth/labels' / f'{info["key"]}_gt_labelTrainIds.png'
        if not label.is_file():
            raise FileNotFoundError(f'{label} does not exist; make the nightscape anew')
        if info['reference_path'] is None:
            raise FileNotFoundError(f'{info["img_path"]} has no day reference in the pair list')
        files.append((info['img_path'], info['reference_path'], str(label)))
    return files


def read_pairs(
    files: Sequence[tuple[str, str, str]], crop: Size | None, scale: Any = None
) -> Iterator[Pair]:
    """Pairs, or crops of them.

    Args:
        files: Night image, day reference and label of each pair, from `pair_files`.
        crop: (height, width), or None for whole images.
        scale: (height, width) that images are resized to first, as `target_scale` in training.
    """
    read = DecodedFiles().read
    size = None if scale is None else (int(scale[0]), int(scale[1]))
    for paths in files:
        whole = [read(PixelFile(path, path == paths[2], size)).array for path in paths]
        if len({array.shape[:2] for array in whole}) > 1:
            raise DataError(f'{paths[0]}, its day reference and label differ in size')
        name = Path(paths[0]).name.removesuffix('_rgb_anon.png')
        if crop is None:
            yield Pair(name, *whole)
            continue
        for i, box in enumerate(crop_grid(whole[2].shape, crop, paths[0])):
            yield Pair(f'{name}_{i}', *map(box.cut, whole))


def crop_grid(size: Size, crop: Size, path: str) -> list[CropBox]:
    """As many crops as fit beside each other, spread evenly from border to border.

    Args:
        size: (height, width) of the image.
        crop: (height, width) of the crops.
        path: The image file, for the message.

    Raises:
        DataError: A crop is larger than the image.
    """
    if crop[0] > size[0] or crop[1] > size[1]:
        raise DataError(
            f'{path} is {size[0]}x{size[1]} (height x width), smaller than crop_size '
            f'{crop[0]}x{crop[1]} of the config; use --whole'
        )
    tops, lefts = (_spread(*sides) for sides in zip(size, crop, strict=True))
    return [CropBox(top, left, *crop) for top in tops for left in lefts]


def _spread(side: int, part: int) -> list[int]:
    number, free = side // part, side - part
    return [free // 2] if number == 1 else [i * free // (number - 1) for i in range(number)]
