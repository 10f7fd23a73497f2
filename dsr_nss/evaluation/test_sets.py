"""The sets that a model is tested on: from a config, or from a folder of images."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from dsr_nss.datasets.base import find_files, first_of
from dsr_nss.datasets.invalid_masks import invalid_mask_file
from dsr_nss.datasets.loading import require_one_reader
from dsr_nss.engine.config import use_scope
from dsr_nss.errors import ConfigError, DataError
from dsr_nss.inference.predict import UNUSABLE


def select_datasets(config: Config, names: Sequence[str] | None = None) -> dict[str, Dataset]:
    """Builds sets of `config.test_sets`.

    Args:
        config: Config with `test_sets`: name -> config of an mmseg data set.
        names: Names of the sets to build; None: `default_test_sets`, else the first.

    Raises:
        ConfigError: An unknown name; the message lists the known ones. A pipeline that reads files
            in another way than training.
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
    sets = {name: _build(name, known[name]) for name in names}
    for name, dataset in sets.items():
        require_one_reader(dataset, name)
    return sets


def _build(name: str, config: Mapping[str, Any]) -> Dataset:
    try:
        return DATASETS.build({'test_mode': True, **config})
    except (KeyError, TypeError) as error:  # no such type, or no such field
        raise ConfigError(f'test_sets.{name}: {error}') from error
    except ValueError as error:
        if 'need at least one array' not in str(error):  # what mmengine says of an empty list
            raise
        raise DataError(
            f'{name} has no image: the folder of data_prefix.img_path is empty, or its files end '
            'otherwise than img_suffix says'
        ) from error


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
    """Items of a data set; a file that cannot be used becomes an item that says so.

    As an exception it would end the loading of all the others.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        try:
            return self.dataset[index]
        except MemoryError:
            path = self.dataset.get_data_info(index)['img_path']
            return {UNUSABLE: f'{path}: it does not fit into the memory'}
        except (DataError, OSError) as error:
            return {UNUSABLE: str(error)}


def _check_all_used(dataset: Dataset, folder: Path) -> None:
    """Labels without an image are as suspicious as images without a label."""
    used = {dataset.get_data_info(i)['seg_map_path'] for i in range(len(dataset))}
    unused = [path for path in find_files(folder, '.png') if str(path) not in used]
    if unused:
        raise DataError(
            f'{len(unused)} labels below {folder} have no image, the first: {first_of(unused)}. '
            'Image and label pair by path and stem'
        )
