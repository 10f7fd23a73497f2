"""mmseg's loading transforms, by this package's readers.

They take the names of mmseg's in its registry: whatever data set or pipeline a config names, a file
becomes the same pixels in validation, testing and browsing as in training and prediction. mmcv's
decoder would fill the missing part of a damaged file with grey, scale 16 bits down and drop alpha
without a word, and turn images by their EXIF orientation, but not labels.
"""

from collections.abc import Mapping
from typing import Any

import cv2
import mmcv.transforms
import mmseg.datasets.transforms  # before ours take their names
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from dsr_nss.classes import IGNORE_INDEX
from dsr_nss.datasets.images import read_image, read_label, require_same_size
from dsr_nss.errors import ConfigError, DataError

_OTHER_READERS = (
    mmcv.transforms.LoadImageFromFile,
    mmcv.transforms.LoadAnnotations,
    mmseg.datasets.transforms.LoadAnnotations,
)


@TRANSFORMS.register_module(force=True)
class LoadImageFromFile(BaseTransform):
    """Reads `img_path`: `img` `(H, W, 3)` BGR, upright, as mmseg's networks are fed.

    Args:
        to_float32: Whether the pixels become float32; else they are uint8.
        imdecode_backend: Not used: there is one reader.
        color_type, file_client_args, ignore_empty, backend_args: Taken as mmcv's transform takes
            them, at its defaults only.

    Raises:
        ConfigError: A setting that this reader does not have.
    """

    def __init__(
        self,
        to_float32: bool = False,
        color_type: str = 'color',
        imdecode_backend: str = 'cv2',
        file_client_args: Mapping[str, Any] | None = None,
        ignore_empty: bool = False,
        backend_args: Mapping[str, Any] | None = None,
    ) -> None:
        _require_local_files('LoadImageFromFile', file_client_args, backend_args)
        if color_type != 'color' or ignore_empty:
            raise ConfigError(
                f'LoadImageFromFile(color_type={color_type!r}, ignore_empty={ignore_empty}): files '
                'are read as 8-bit colours, and none is passed over; leave both fields out'
            )
        self.to_float32 = to_float32

    def transform(self, results: dict) -> dict:
        """Adds `img`, `img_shape` and `ori_shape`."""
        image = cv2.cvtColor(read_image(results['img_path']), cv2.COLOR_RGB2BGR)
        if self.to_float32:
            image = image.astype(np.float32)
        return {**results, 'img': image, 'img_shape': image.shape[:2], 'ori_shape': image.shape[:2]}


@TRANSFORMS.register_module(force=True)
class LoadAnnotations(BaseTransform):
    """Reads `seg_map_path`: `gt_seg_map` `(H, W)` uint8 class ids, upright.

    Args:
        reduce_zero_label: Whether id 0 is to be ignored and the others count from 0; None: as the
            data set says.
        backend_args: None only: files are read from disk.
        imdecode_backend: Not used: there is one reader.

    Raises:
        ConfigError: A setting that this reader does not have.
    """

    def __init__(
        self,
        reduce_zero_label: bool | None = None,
        backend_args: Mapping[str, Any] | None = None,
        imdecode_backend: str = 'pillow',
    ) -> None:
        _require_local_files('LoadAnnotations', backend_args)
        self.reduce_zero_label = reduce_zero_label

    def transform(self, results: dict) -> dict:
        """Adds `gt_seg_map`.

        Raises:
            DataError: There is no label, or it has another size than the image.
        """
        path = results.get('seg_map_path')
        if path is None:
            raise DataError(
                f'{results.get("img_path")} has no label, but the pipeline of its set loads one: '
                'take LoadAnnotations out of it'
            )
        label = read_label(path)
        size = results.get('ori_shape', label.shape)
        require_same_size(results.get('img_path', ''), size, path, label.shape)
        reduce = results.get('reduce_zero_label', False)
        if self.reduce_zero_label not in (None, reduce):
            raise ConfigError(
                f'LoadAnnotations(reduce_zero_label={self.reduce_zero_label}), but its data set '
                f'has reduce_zero_label={reduce}; say it in the data set alone'
            )
        if reduce:
            label = np.where(label == 0, IGNORE_INDEX, label - 1)
            label[label == IGNORE_INDEX - 1] = IGNORE_INDEX
        if results.get('label_map'):
            table = np.arange(256, dtype=np.uint8)
            table[list(results['label_map'])] = list(results['label_map'].values())
            label = table[label]
        results['gt_seg_map'] = label
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results


def require_one_reader(dataset: Any, name: str) -> None:
    """Refuses the pipeline of a data set that reads files in another way than training does.

    Raises:
        ConfigError: It has a loader of mmcv's, named by its class or its scope; says what to write.
    """
    for step in getattr(getattr(dataset, 'pipeline', None), 'transforms', ()):
        if type(step) in _OTHER_READERS:
            title = type(step).__name__
            raise ConfigError(
                f'{name}: its pipeline has the {title} of {type(step).__module__}, which gives '
                f"other pixels than training has; write type='{title}'"
            )


def _require_local_files(name: str, *settings: Mapping[str, Any] | None) -> None:
    if any(one is not None and dict(one) != {'backend': 'local'} for one in settings):
        raise ConfigError(f'{name}: files are read from disk; leave backend_args out')
