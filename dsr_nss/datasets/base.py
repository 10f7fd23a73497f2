"""What all road scene sets share: classes, list of items, the check that no file is missing."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg.datasets import BaseSegDataset

from dsr_nss.classes import metainfo as class_metainfo
from dsr_nss.commands import call
from dsr_nss.datasets.class_statistics import ClassCounts, class_counts
from dsr_nss.datasets.published import PUBLISHED, is_nightscape, require_whole
from dsr_nss.errors import DataError
from dsr_nss.values import checked

ROAD_SCENE_METAINFO = class_metainfo()
IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg')


@dataclass(frozen=True)
class Item:
    """One image of a set.

    Attributes:
        key: Its name within the set without suffixes, e.g. `train/aachen/aachen_000000_000019`.
        image: The image file.
        label: The label file, None in a set without labels.
        reference: A day image of roughly the same place, None if there is none.
    """

    key: str
    image: Path
    label: Path | None = None
    reference: Path | None = None


def find_files(folder: Path, suffix: str | tuple[str, ...]) -> list[Path]:
    """All files below `folder` whose name ends with `suffix` (any case), sorted."""
    suffixes = (suffix,) if isinstance(suffix, str) else suffix
    endings = tuple(ending.lower() for ending in suffixes)
    return sorted(path for path in files_below(folder) if path.name.lower().endswith(endings))


def files_below(folder: str | Path, *, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """All files below a folder, also through links to folders, which `rglob` would pass over.

    The files `._NAME` that macOS writes beside NAME on foreign disks are none: they have its ending
    and hold what the Finder knows of it.

    Args:
        folder: Folder to search.
        above: Real paths of the folders that lead here: a link back to one of them is a loop.
    """
    real = os.path.realpath(folder)
    if real in above or not os.path.isdir(real):
        return
    for entry in os.scandir(folder):
        if _is_folder(entry):
            yield from files_below(entry.path, above=(*above, real))
        elif not entry.name.startswith('._'):
            yield Path(entry.path)


def _is_folder(entry: os.DirEntry) -> bool:
    """A link to itself is none: it is listed, and refused where it is read."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def first_of(names: Sequence[object], limit: int = 3) -> str:
    """`a, b, c, ...` for a message about many files."""
    shown = ', '.join(str(name) for name in names[:limit])
    return shown + (', ...' if len(names) > limit else '')


@checked
class RoadSceneDataset(BaseSegDataset):
    """Base of the sets; mmseg's `BaseSegDataset` derives a label's name from the image's suffix
    only, while the published sets keep labels and day references under other names and folders.

    An element's `data_info` has mmseg's keys, `seg_map_path` only where there is a label, and in
    addition `key` and `reference_path` (a day image of the same place or None).

    Args:
        data_root: Root of the set.
        split: One of the set's `SPLITS`.
        with_labels: Whether to attach (and to require) labels. None: wherever the split has them.
            False lets an unlabelled download serve as target.
        pipeline: mmseg transforms of an element; training does not use it.
        metainfo: `classes`, `palette` and `groups` (class names by group); what is left out
            follows from the names. A set whose classes are fixed takes no others.
        test_mode: Test mode of `mmengine.dataset.BaseDataset`, which explains the next two as well.
        indices: Number of elements to keep, counted from the first (negative: from the last), or
            the elements to keep.
        lazy_init: Whether to list the files later, by `full_init()`.
    """

    METAINFO: dict[str, Any] = ROAD_SCENE_METAINFO
    NAME = ''
    SPLITS: tuple[str, ...] = ()
    UNLABELLED_SPLITS: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        data_root: str,
        split: str,
        with_labels: bool | None = None,
        pipeline: Sequence[dict | Callable] = (),
        metainfo: Mapping[str, Any] | None = None,
        test_mode: bool = False,
        indices: int | Sequence[int] | None = None,
        lazy_init: bool = False,
    ) -> None:
        name = type(self).__name__
        if split not in self.SPLITS:
            splits = ', '.join(self.SPLITS)
            raise ValueError(f'{name}: unknown split {split!r}; the splits are {splits}')
        unlabelled = split in self.UNLABELLED_SPLITS
        if with_labels and unlabelled:
            raise ValueError(f'{name}: the split {split} is published without labels')
        if metainfo is not None:
            metainfo = class_metainfo(**metainfo)
        if metainfo and self.METAINFO and metainfo['classes'] != self.METAINFO['classes']:
            raise ValueError(f'{name}: the classes are fixed; use FolderDataset for other classes')
        self.split = split
        self.with_labels = not unlabelled if with_labels is None else with_labels
        super().__init__(
            data_root=data_root,
            data_prefix={},
            pipeline=list(pipeline),
            metainfo=metainfo,
            test_mode=test_mode,
            indices=indices,
            lazy_init=lazy_init,
            # Serialising pays for millions of elements; here it would only cost its gc.collect().
            serialize_data=False,
        )

    @property
    def root(self) -> Path:
        """The data root as a path."""
        return Path(self.data_root or '')

    @property
    def title(self) -> str:
        """The set and split for messages."""
        return f'{type(self).__name__} {self.split}'

    def image_folders(self) -> list[str]:
        """The folders below the root that hold the images of the split."""
        raise NotImplementedError

    def published_count(self) -> int | None:
        """How many images the published split has; None for a set that is not published."""
        if self.NAME not in PUBLISHED or is_nightscape(self.root):
            return None
        folders = self.image_folders()
        counts = [part.count for part in PUBLISHED[self.NAME].parts if part.folder in folders]
        return sum(counts) if counts else None

    def find_items(self) -> list[Item]:
        """Lists the items of the split; a subclass knows the layout."""
        raise NotImplementedError

    def missing_label_hint(self) -> str:
        """What to do when labels are missing."""
        return f'`{call("prepare_data")} {self.NAME} {self.root}` checks the download.'

    def load_data_list(self) -> list[dict]:
        """Lists the split and checks that labels and references exist.

        Raises:
            FileNotFoundError: A folder, an image, a label or a reference is missing.
            DataError: A set of nightscape was not finished.
        """
        require_whole(self.root)
        items = self.find_items()
        if not items:
            raise FileNotFoundError(f'{self.title}: no images found below {self.root}')
        missing = [item.label for item in items if item.label and not item.label.is_file()]
        if missing:
            raise FileNotFoundError(
                f'{self.title}: {len(missing)} of {len(items)} images have no label, the first '
                f'missing: {first_of(missing)}. {self.missing_label_hint()}'
            )
        missing = [
            item.reference for item in items if item.reference and not item.reference.is_file()
        ]
        if missing:
            raise FileNotFoundError(
                f'{self.title}: {len(missing)} of {len(items)} day references are missing, the '
                f'first: {first_of(missing)}'
            )
        return [self._data_info(item) for item in items]

    def _data_info(self, item: Item) -> dict:
        info = dict(
            key=item.key,
            img_path=str(item.image),
            reference_path=str(item.reference) if item.reference else None,
            label_map=self.label_map,
            reduce_zero_label=self.reduce_zero_label,
            seg_fields=[],
        )
        if item.label:
            info['seg_map_path'] = str(item.label)
        return info

    def labels(self) -> dict[str, str]:
        """The label files: `{key: path}`.

        Raises:
            DataError: The set has no labels.
        """
        infos = [self.get_data_info(i) for i in range(len(self))]
        if any('seg_map_path' not in info for info in infos):
            raise DataError(f'{self.title} has no labels and cannot be a source')
        return {info['key']: info['seg_map_path'] for info in infos}

    def statistics_file(self) -> Path:
        """Where the class statistics of the split are kept."""
        return self.root / f'class_statistics_{self.split}.json'

    def class_counts(self) -> ClassCounts:
        """Pixels of each class in each label, for rare-class sampling.

        Returns:
            `{key: {class id: pixels}}` with an entry for every item.
        """
        return class_counts(
            self.statistics_file(), self.labels(), num_classes=len(self.metainfo['classes'])
        )
