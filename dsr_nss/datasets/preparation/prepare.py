"""One entry for all sets: check the download, then make what the set needs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsr_nss.datasets.acdc import ACDC, CONDITIONS
from dsr_nss.datasets.base import RoadSceneDataset
from dsr_nss.datasets.bdd100k_night import BDD100kNight
from dsr_nss.datasets.cityscapes import Cityscapes, write_class_statistics
from dsr_nss.datasets.dark_zurich import DarkZurich
from dsr_nss.datasets.dark_zurich_pairs import (
    PAIR_LIST,
    pairs_of_published_files,
    write_pair_list,
)
from dsr_nss.datasets.folder import FolderDataset
from dsr_nss.datasets.nighttime_driving import NighttimeDriving
from dsr_nss.datasets.preparation.bdd100k_list import make_night_list
from dsr_nss.datasets.preparation.camvid import SPLITS as CAMVID_SPLITS
from dsr_nss.datasets.preparation.camvid import make_camvid_dusk
from dsr_nss.datasets.preparation.cityscapes_labels import make_train_ids
from dsr_nss.datasets.preparation.completeness import require_complete
from dsr_nss.datasets.preparation.verify import check_label_sizes, verify
from dsr_nss.errors import DataError


@dataclass(frozen=True)
class Options:
    """What a preparation may use.

    Attributes:
        root: Root of the set.
        workers: Processes.
        out: The folder to make; CamVid only.
        night_list: A list of night images; BDD100K only.
    """

    root: Path
    workers: int = 1
    out: Path | None = None
    night_list: Path | None = None


def _cityscapes(options: Options) -> list[str]:
    root, workers = options.root, options.workers
    made = make_train_ids(root, ('train', 'val'), workers=workers)
    path = write_class_statistics(root, workers)
    return [f'{made} labelTrainIds made', f'class statistics: {path}']


def _dark_zurich(options: Options) -> list[str]:
    pairs = pairs_of_published_files(options.root)
    missing = [day for _, day in pairs if day and not (options.root / day).is_file()]
    if missing:
        raise DataError(
            f'Dark Zurich: {len(missing)} day references are not below {options.root} (first: '
            f'{missing[0]}); unpack Dark_Zurich_train_anon.zip again'
        )
    path = write_pair_list(options.root / PAIR_LIST, pairs)
    paired = sum(day is not None for _, day in pairs)
    return [f'{path}: {len(pairs)} night images, {paired} with a day reference']


def _bdd100k_night(options: Options) -> list[str]:
    path, count, unknown = make_night_list(options.root, options.night_list)
    lines = [f'{path}: {count} night images']
    if unknown:
        lines.append(f'{unknown} images have no published time of day and were left out')
    return lines


def _camvid(options: Options) -> list[str]:
    if options.out is None:
        raise ValueError('camvid: say where to put the set: --out data/camvid_dusk')
    counts = make_camvid_dusk(options.root, options.out, workers=options.workers)
    return [f'{options.out}: ' + ', '.join(f'{name} {count}' for name, count in counts.items())]


def _nothing_to_make(options: Options) -> list[str]:
    return ['complete; nothing to make']


_STEPS: dict[str, Callable[[Options], list[str]]] = {
    'cityscapes': _cityscapes,
    'dark_zurich': _dark_zurich,
    'acdc': _nothing_to_make,
    'nighttime_driving': _nothing_to_make,
    'bdd100k_night': _bdd100k_night,
    'camvid': _camvid,
}
NAMES = tuple(_STEPS)
_KINDS: dict[str, type[RoadSceneDataset]] = {
    'cityscapes': Cityscapes,
    'dark_zurich': DarkZurich,
    'acdc': ACDC,
    'nighttime_driving': NighttimeDriving,
    'bdd100k_night': BDD100kNight,
}


def prepare(
    name: str, options: Options, subset: bool = False, verify_files: bool = False
) -> list[str]:
    """Checks a set and makes what it needs.

    Args:
        name: One of `NAMES`.
        options: Place of the set and manner of working.
        subset: Accepts fewer files than published.
        verify_files: Opens every file of the set; without it, sizes alone are compared.

    Returns:
        Lines that say what was found and made.

    Raises:
        FileNotFoundError: Something is missing; the message says which archive or folder.
        DataError: The download is incomplete or a file cannot be used.
        ValueError: An option is missing.
    """
    findings = require_complete(name, options.root, subset)
    lines = [str(finding) for finding in findings] + _STEPS[name](options)
    sets, notes = _built_sets(name, options)
    if verify_files:
        return [*lines, *notes, verify(sets, workers=options.workers)]
    labels = check_label_sizes(sets, workers=options.workers)
    return [*lines, *notes, f'{labels} labels are as large as their images']


def _built_sets(name: str, options: Options) -> tuple[list[RoadSceneDataset], list[str]]:
    """The splits of a set that are there, and why optional ones are left out."""
    if name == 'camvid':
        return [_camvid_set(options.out, split) for split in CAMVID_SPLITS], []
    kind = _KINDS[name]
    sets, notes = [], []
    for split in kind.SPLITS:
        for condition in CONDITIONS if kind is ACDC else (None,):
            choice: dict[str, Any] = {} if condition is None else dict(condition=condition)
            one = kind(data_root=str(options.root), split=split, lazy_init=True, **choice)
            folders = one.image_folders() or [f'images/10k/{split}']  # BDD100K's list has none
            if not all((options.root / folder).is_dir() for folder in folders):
                continue
            try:
                one.full_init()
            except FileNotFoundError as error:
                if condition in (None, 'night'):
                    raise
                notes.append(f'not looked into: {error}')
            else:
                sets.append(one)
    return sets, notes


def _camvid_set(out: Path | None, split: str) -> RoadSceneDataset:
    labels = None if split == 'dusk/train' else f'labels/{split}'
    return FolderDataset(data_root=str(out), images=f'images/{split}', labels=labels)
