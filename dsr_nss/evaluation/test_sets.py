"""The sets that a model is tested on: from a config, or from a folder of images."""

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmcv.transforms import LoadAnnotations as MMCVLoadAnnotations
from mmengine.config import Config
from mmengine.dataset import Compose
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from dsr_nss.datasets.base import find_files, first_of
from dsr_nss.datasets.images import read_image, read_label
from dsr_nss.datasets.invalid_masks import invalid_mask_file
from dsr_nss.engine.config import use_scope
from dsr_nss.errors import ConfigError, DataError

_SUFFIXES = ('.png', '.jpg', '.jpeg')


def select_datasets(config: Config, names: Sequence[str] | None = None) -> dict[str, Dataset]:
    """Builds sets of `config.test_sets`.

    Args:
        config: Config with `test_sets`: name -> config of an mmseg data set.
        names: Names of the sets to build; None: `default_test_sets`, else the first.

    Raises:
        ConfigError: An unknown name; the message lists the known ones.
        FileNotFoundError, DataError: The data is not there or cannot be used.
    """
    use_scope(config)
    known = config.get('test_sets') or {}
    if not known:
        raise ConfigError('the config has no test_sets; score a folder with --images and --labels')
    if names is None:
        names = config.get('default_test_sets') or [next(iter(known))]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(
            f'unknown data set(s) {", ".join(unknown)}; the config has: {", ".join(known)}'
        )
    return {name: DATASETS.build({'test_mode': True, **known[name]}) for name in names}


def folder_dataset(
    images: str | Path,
    labels: str | Path | None,
    metainfo: Mapping[str, Any],
    transforms: Sequence[dict] = (),
) -> Dataset:
    """A data set of a folder, with labels that pair by stem or without.

    Args:
        images: Folder of PNG or JPEG images.
        labels: Folder of label PNGs, or None.
        metainfo: `classes` and `palette` of the labels.
        transforms: Transforms of the images, from `image_transforms`; labels keep their size.

    Raises:
        FileNotFoundError: A folder does not exist or is empty, an image lacks its label.
        DataError: A label lacks its image, or two files have the same stem.
    """
    dataset = DATASETS.build(
        dict(
            type='FolderDataset',
            images=str(images),
            labels=None if labels is None else str(labels),
            metainfo=dict(metainfo),
            test_mode=True,
            pipeline=[
                dict(type='LoadImageFromFile'),
                *transforms,
                *([] if labels is None else [dict(type='LoadAnnotations')]),
                dict(type='PackSegInputs'),
            ],
        )
    )
    if labels is not None:
        _check_all_used(dataset, Path(labels))
    return dataset


def has_labels(dataset: Dataset) -> bool:
    """Whether the images of a set have label files."""
    return all('seg_map_path' in dataset.get_data_info(i) for i in range(len(dataset)))


def invalid_masks(dataset: Dataset) -> list[Path] | None:
    """The mask of invalid pixels of each image; None for a set without masks.

    Raises:
        DataError: Some images have one and others not.
    """
    labels = [dataset.get_data_info(i).get('seg_map_path') for i in range(len(dataset))]
    found = [None if label is None else invalid_mask_file(label) for label in labels]
    masks = [mask for mask in found if mask is not None]
    if not masks:
        return None
    missing = [label for label, mask in zip(labels, found, strict=True) if mask is None]
    if missing:
        raise DataError(
            f'{len(missing)} of {len(labels)} labels have no mask of invalid pixels '
            f'(*_gt_invIds.png or *_gt_invGray.png) beside them, the first: {first_of(missing)}'
        )
    return masks


def prediction_names(dataset: Dataset) -> list[str]:
    """A name for the prediction of each image: its path below the common folder, without suffix.

    Raises:
        DataError: Two images would have the same name.
    """
    paths = [Path(dataset.get_data_info(i)['img_path']).absolute() for i in range(len(dataset))]
    root = getattr(dataset, 'image_folder', None)
    if root is None:
        root = os.path.commonpath([path.parent for path in paths])
    names: dict[str, Path] = {}
    for path in paths:
        name = path.relative_to(Path(root).absolute()).with_suffix('').as_posix()
        if name in names:
            raise DataError(f'{names[name]} and {path} have the same stem; rename one of them')
        names[name] = path
    return list(names)


class CheckedDataset(Dataset):
    """Items of an mmseg data set whose files this package's strict readers accept.

    mmcv's decoder fills the missing part of a truncated file with grey, scales 16 bits down and
    drops alpha without a word: such scores would be wrong.
    """

    def __init__(self, dataset: Dataset) -> None:
        strict = _with_strict_loaders(dataset)
        self.dataset = strict or dataset
        self.reads_strictly = strict is not None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not self.reads_strictly:
            _check_files(self.dataset.get_data_info(index))
        image = self.dataset.get_data_info(index)['img_path']
        try:
            return self.dataset[index]
        except KeyError as error:
            if error.args != ('seg_map_path',):
                raise
            raise DataError(
                f'{image} has no label, but the pipeline of its set loads one: take '
                'LoadAnnotations out of it'
            ) from None


class StrictImageLoader(BaseTransform):
    """`LoadImageFromFile` by this package's reader: BGR uint8, as mmseg's networks are fed."""

    def transform(self, results: dict) -> dict:
        """Adds `img`, `img_shape` and `ori_shape`."""
        image = cv2.cvtColor(read_image(results['img_path']), cv2.COLOR_RGB2BGR)
        return {**results, 'img': image, 'img_shape': image.shape[:2], 'ori_shape': image.shape[:2]}


class StrictLabelLoader(BaseTransform):
    """`LoadAnnotations` by this package's reader, for labels of train ids."""

    def transform(self, results: dict) -> dict:
        """Adds `gt_seg_map`; raises `DataError` where image and label differ in size."""
        label = read_label(results['seg_map_path'])
        _check_sizes(results, results.get('ori_shape', label.shape), label.shape)
        results['gt_seg_map'] = label
        results['seg_fields'].append('gt_seg_map')
        return results


def _with_strict_loaders(dataset: Dataset) -> Dataset | None:
    """The same data set, read by strict loaders in the place of mmseg's; None if that cannot be.

    So each file is decoded once, not once to check it and once to use it.
    """
    pipeline = getattr(dataset, 'pipeline', None)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    if pipeline is None or not all(map(_is_plain, infos)):
        return None
    steps: list[Any] = []
    for step in pipeline.transforms:
        if isinstance(step, LoadImageFromFile):
            settings = (step.to_float32, step.ignore_empty, step.backend_args, step.color_type)
            if type(step) is not LoadImageFromFile or settings != (False, False, None, 'color'):
                return None
            steps.append(StrictImageLoader())
        elif isinstance(step, MMCVLoadAnnotations):
            if type(step) is not LoadAnnotations or step.reduce_zero_label or step.backend_args:
                return None
            steps.append(StrictLabelLoader())
        else:
            steps.append(step)
    strict = copy.copy(dataset)
    strict.pipeline = Compose(steps)
    return strict


def _is_plain(info: Mapping[str, Any]) -> bool:
    """Whether an item is of files that the strict readers know, without other class ids."""
    label = info.get('seg_map_path')
    return (
        _readable(info['img_path'])
        and (label is None or _readable(label))
        and not (info.get('label_map') or info.get('reduce_zero_label'))
    )


def _check_files(info: Mapping[str, Any]) -> None:
    """Reads what mmseg's loaders will read again."""
    image, label = info['img_path'], info.get('seg_map_path')
    size = read_image(image).shape[:2] if _readable(image) else None
    label_size = read_label(label).shape if label and _readable(label) else None
    if size and label_size:
        _check_sizes(info, size, label_size)


def _check_sizes(info: Mapping[str, Any], size: Sequence[int], label_size: Sequence[int]) -> None:
    if tuple(size) != tuple(label_size):
        sizes = ['x'.join(map(str, pair)) for pair in (size, label_size)]
        raise DataError(
            f'{info["img_path"]} is {sizes[0]} (height x width) but its label '
            f'{info["seg_map_path"]} is {sizes[1]}; they must have the same size'
        )


def _readable(path: str) -> bool:
    return path.lower().endswith(_SUFFIXES)


def _check_all_used(dataset: Dataset, folder: Path) -> None:
    """Labels without an image are as suspicious as images without a label."""
    used = {dataset.get_data_info(i)['seg_map_path'] for i in range(len(dataset))}
    unused = [path for path in find_files(folder, '.png') if str(path) not in used]
    if unused:
        raise DataError(
            f'{len(unused)} labels below {folder} have no image, the first: {first_of(unused)}. '
            'Image and label pair by path and stem'
        )
