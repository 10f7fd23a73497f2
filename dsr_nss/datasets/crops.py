"""Random crops: where to cut, and which source crops are good enough."""

from dataclasses import dataclass

import numpy as np

from dsr_nss.classes import IGNORE_INDEX
from dsr_nss.datasets.images import check_label_ids, count_ids
from dsr_nss.errors import DataError

#: Crops that are tried until one class fills no more than the allowed share (as many as mmseg's
#: `RandomCrop` looks at, which then takes one more unseen).
SHARE_TRIES = 10
#: Crops that are tried until one shows a labelled pixel at all.
LABELLED_TRIES = 50


@dataclass(frozen=True)
class CropBox:
    """A crop: its top left corner and size in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, array: np.ndarray) -> np.ndarray:
        """The crop of an `(H, W, ...)` array, as a view."""
        return array[self.top : self.top + self.height, self.left : self.left + self.width]


def random_box(
    rng: np.random.Generator, size: tuple[int, int], crop_size: tuple[int, int], path: str
) -> CropBox:
    """A crop at a uniformly drawn position.

    Args:
        rng: Source of randomness.
        size: (height, width) of the image.
        crop_size: (height, width) of the crop.
        path: The image file, for the message.

    Raises:
        DataError: The crop is larger than the image.
    """
    if crop_size[0] > size[0] or crop_size[1] > size[1]:
        raise DataError(
            f'{path}: the image is {size[0]}x{size[1]} (height x width) where it is cropped, '
            f'smaller than crop_size {crop_size[0]}x{crop_size[1]}; lower crop_size, or raise '
            'source_scale (source images) or target_scale (night images)'
        )
    top = int(rng.integers(size[0] - crop_size[0] + 1))
    left = int(rng.integers(size[1] - crop_size[1] + 1))
    return CropBox(top, left, *crop_size)


def source_box(
    rng: np.random.Generator,
    label: np.ndarray,
    crop_size: tuple[int, int],
    *,
    num_classes: int,
    max_class_share: float,
    path: str,
    class_id: int | None = None,
    min_class_pixels: float = 0.0,
    max_tries: int = 1,
) -> CropBox:
    """A source crop as DAFormer and HRDA draw it.

    Up to `max_tries` crops, until one has more than `min_class_pixels` pixels of the class
    `class_id`. Each of them is the first of up to `SHARE_TRIES` positions at which no class fills
    more than `max_class_share` of the labelled pixels. If no crop meets a condition the last one is
    taken.

    Args:
        rng: Source of randomness.
        label: `(H, W)` uint8 train ids, 255 = ignore.
        crop_size: (height, width) of the crop.
        num_classes: Valid ids are `0..num_classes - 1` and 255.
        max_class_share: 1 allows crops of one class.
        path: The label file, for messages.
        class_id: The class that rare-class sampling drew, None without it.
        min_class_pixels: Pixels of the class `class_id` that a crop should exceed.
        max_tries: Largest number of crops that are drawn to meet `min_class_pixels`.

    Raises:
        DataError: The crop is larger than the label, a crop has an id that is no train id, or crops
            show ignore pixels only.
    """
    for _ in range(max_tries):
        box, counts = _balanced_box(rng, label, crop_size, num_classes, max_class_share, path)
        if class_id is None or counts[class_id] > min_class_pixels:
            break
    return box


def _balanced_box(
    rng: np.random.Generator,
    label: np.ndarray,
    crop_size: tuple[int, int],
    num_classes: int,
    max_class_share: float,
    path: str,
) -> tuple[CropBox, np.ndarray]:
    for attempt in range(LABELLED_TRIES):
        box = random_box(rng, label.shape[:2], crop_size, path)
        counts = count_ids(box.cut(label))
        check_label_ids(counts, path, num_classes)
        labelled = counts.sum() - counts[IGNORE_INDEX]
        if labelled == 0:
            continue
        share = counts[:num_classes].max() / labelled
        if share <= max_class_share or attempt >= SHARE_TRIES - 1:
            return box, counts
    raise DataError(
        f'{path}: {LABELLED_TRIES} random crops of {crop_size[0]}x{crop_size[1]} have only ignore '
        f'pixels ({IGNORE_INDEX}); label more of the image, raise crop_size or leave the image out'
    )
