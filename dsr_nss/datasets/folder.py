"""Any folder of images, with or without labels and day references: data sets by config alone."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from mmseg.registry import DATASETS

from dsr_nss.datasets.base import (
    IMAGE_SUFFIXES,
    ROAD_SCENE_METAINFO,
    Item,
    RoadSceneDataset,
    find_files,
    first_of,
)
from dsr_nss.datasets.class_statistics import FILE_NAME
from dsr_nss.errors import DataError
from dsr_nss.values import checked

#: Pictures that no data set here reads.
OTHER_SUFFIXES = ('.webp', '.bmp', '.tif', '.tiff', '.jfif', '.ppm', '.gif', '.heic', '.avif')


@DATASETS.register_module()
@checked
class FolderDataset(RoadSceneDataset):
    """Images below a folder; labels and day references pair by stem, whatever the suffix.

    `images/a/b.jpg` goes with `labels/a/b.png` and `references/a/b.jpeg`: the path below the folder
    without its suffix counts. Where names end differently the endings are stated:
    `label_suffix='_labelTrainIds'` pairs `images/a/b.jpg` with `labels/a/b_labelTrainIds.png`.
    Serves as source, as target and as evaluation set.

    Args:
        images: Folder of PNG or JPEG images, below `data_root` (or absolute).
        labels: Folder of label PNGs (train ids, 255 = ignore); every image needs one. None: no
            labels.
        references: Folder of day images; an image without one trains without, but one must have
            one. None: no references.
        image_suffix, label_suffix, reference_suffix: What the stems of the files end with and the
            pairs have not in common; other files in the folder are left out. Images and labels may
            lie in one folder then.
        data_root: What the folders are relative to.
        metainfo: `dict(classes=...)` of a set with other classes than Cityscapes'; a config states
            them once for all of its sets (`dsr_nss.engine.class_block`).
        kwargs: Other arguments of `RoadSceneDataset`.
    """

    # Empty, so that `metainfo` may name any classes: mmseg takes the classes of a config for a
    # subset of the classes that are fixed here.
    METAINFO: dict[str, Any] = {}
    SPLITS = ('folder',)

    def __init__(
        self,
        *,
        images: str,
        labels: str | None = None,
        references: str | None = None,
        image_suffix: str = '',
        label_suffix: str = '',
        reference_suffix: str = '',
        data_root: str = '',
        metainfo: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.image_folder = Path(data_root, images)
        self.label_folder = None if labels is None else Path(data_root, labels)
        self.reference_folder = None if references is None else Path(data_root, references)
        self.suffixes = image_suffix, label_suffix, reference_suffix
        super().__init__(
            data_root=data_root,
            split='folder',
            with_labels=labels is not None,
            metainfo=metainfo or ROAD_SCENE_METAINFO,
            **kwargs,
        )

    @property
    def title(self) -> str:
        """The folder for messages."""
        return f'FolderDataset {self.image_folder}'

    def find_items(self) -> list[Item]:
        """Lists the images and what pairs with them."""
        of_image, of_label, of_reference = self.suffixes
        images = _by_stem(self.image_folder, IMAGE_SUFFIXES, of_image)
        others = find_files(self.image_folder, OTHER_SUFFIXES)
        if images and others:
            print_log(
                f'{self.title}: {len(others)} images of other kinds are left out, the first: '
                f'{others[0]}; save them as PNG or JPEG to use them',
                'current',
                logging.WARNING,
            )
        if not images:
            kinds = ', '.join(f'*{of_image}{suffix}' for suffix in IMAGE_SUFFIXES)
            raise FileNotFoundError(
                f'{self.title}: no images below {self.image_folder} (looked for {kinds})'
            )
        labels = _by_stem(self.label_folder, ('.png',), of_label) if self.label_folder else None
        references = {}
        if self.reference_folder:
            references = _by_stem(self.reference_folder, IMAGE_SUFFIXES, of_reference)
        if not of_image:  # in a folder of all, labels and references of others are no images
            elsewhere = (path for stem, path in references.items() if path != images.get(stem))
            used = {*(labels or {}).values(), *elsewhere}
            images = {stem: path for stem, path in images.items() if path not in used}
            if not images:
                raise FileNotFoundError(
                    f'{self.title}: every image below {self.image_folder} is a label or reference '
                    'too; name other folders, or how the stems end (`label_suffix`, ...)'
                )
        if labels is not None:
            missing = [str(path) for stem, path in images.items() if stem not in labels]
            if missing:
                raise FileNotFoundError(
                    f'{self.title}: {len(missing)} of {len(images)} images have no label, the '
                    f'first: {first_of(missing)}. A label is a PNG below {self.label_folder} '
                    f'with the same path and stem{_ending(of_image, of_label)}.'
                )
        if images and self.reference_folder and not references.keys() & images.keys():
            raise FileNotFoundError(
                f'{self.title}: no file below {self.reference_folder} has the stem of an image'
                f'{_ending(of_image, of_reference)}'
            )
        return [
            Item(stem, path, labels[stem] if labels else None, references.get(stem))
            for stem, path in images.items()
        ]

    def statistics_file(self) -> Path:
        """Beside the labels."""
        assert self.label_folder is not None  # a set without labels is refused before
        return self.label_folder / FILE_NAME


def _ending(image: str, label: str) -> str:
    return f', {label!r} in the place of {image!r} at its end' if image or label else ''


def _by_stem(folder: Path, suffixes: tuple[str, ...], ending: str = '') -> dict[str, Path]:
    """Files by their path below `folder` without suffix, and without the ending that all have.

    Raises:
        FileNotFoundError: The folder does not exist.
        DataError: Two files have the same stem.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f'the folder {folder} does not exist')
    files: dict[str, Path] = {}
    for path in find_files(folder, suffixes):
        if not path.stem.endswith(ending):
            continue
        stem = path.relative_to(folder).with_suffix('').as_posix().removesuffix(ending)
        if stem in files:
            raise DataError(f'{files[stem]} and {path} have the same stem; keep one of them')
        files[stem] = path
    return files
