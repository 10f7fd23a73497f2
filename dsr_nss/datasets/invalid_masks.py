"""The masks of invalid pixels that Dark Zurich and ACDC publish beside their labels.

Annotators marked where the content cannot be told from the night image alone; many of these pixels
have a label nevertheless, drawn with the help of a day image of the same place.
"""

from pathlib import Path

import numpy as np

from dsr_nss.datasets.images import read_label
from dsr_nss.errors import DataError

_LABEL = '_gt_labelTrainIds.png'
#: Suffix of a mask -> its value at invalid pixels; the value at valid ones is 0.
_MASKS = {'_gt_invIds.png': 1, '_gt_invGray.png': 255}


def invalid_mask_file(label: str | Path) -> Path | None:
    """The mask beside a label `<frame>_gt_labelTrainIds.png`; None if there is none.

    `<frame>_gt_invIds.png`, or `<frame>_gt_invGray.png` where that is missing.
    """
    label = Path(label)
    if not label.name.endswith(_LABEL):
        return None
    frame = label.name.removesuffix(_LABEL)
    masks = (label.with_name(frame + suffix) for suffix in _MASKS)
    return next((mask for mask in masks if mask.is_file()), None)


def read_invalid_mask(path: str | Path) -> np.ndarray:
    """Reads a mask.

    Args:
        path: A file that `invalid_mask_file` found.

    Returns:
        `(H, W)` bool, true at invalid pixels.

    Raises:
        DataError: The file cannot be read, or holds other values than those of its kind.
    """
    values = read_label(path)
    invalid = next(value for suffix, value in _MASKS.items() if str(path).endswith(suffix))
    other = sorted({int(value) for value in np.unique(values)} - {0, invalid})
    if other:
        raise DataError(f'{path}: holds {other}; a mask holds 0 (valid) and {invalid} (invalid)')
    return values == invalid
