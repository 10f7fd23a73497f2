"""Writes the cache of decoded pixels that a config's training items are cut from."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mmseg.registry import DATASETS

from dsr_nss.datasets.images import size_by_start
from dsr_nss.datasets.pixel_cache import HEADER, entry_path, is_intact, problem, write_entry
from dsr_nss.datasets.pixels import PixelFile
from dsr_nss.errors import DataError
from dsr_nss.files import remove_abandoned
from dsr_nss.pool import map_files

_BLOCK = 4096


@dataclass(frozen=True)
class CachePlan:
    """What a cache will hold.

    Attributes:
        folder: The cache.
        files: All files of the training set, as its items read them.
        to_write: Number of entries that are missing, out of date or incomplete.
        total_bytes: Space of the whole cache.
        missing_bytes: Space that it needs in addition to what is there.
        free_bytes: Free space where it goes.
    """

    folder: Path
    files: tuple[PixelFile, ...]
    to_write: int
    total_bytes: int
    missing_bytes: int
    free_bytes: int

    def __str__(self) -> str:
        return (
            f'cache {self.folder}: {len(self.files)} files, {_gigabytes(self.total_bytes)}; '
            f'{self.to_write} to write, {_gigabytes(self.missing_bytes)} more; '
            f'{_gigabytes(self.free_bytes)} free'
        )


def plan_cache(dataset: Mapping[str, Any], folder: Path) -> CachePlan:
    """Lists what a cache needs; writes nothing.

    Args:
        dataset: Config of a `SourceTargetDataset`.
        folder: The cache; it need not exist.

    Raises:
        DataError: The config trains on another kind of set, or an image cannot be opened.
        FileNotFoundError: A file or folder is missing.
    """
    if dataset.get('type') != 'SourceTargetDataset':
        raise DataError(f'only a SourceTargetDataset has a cache, not a {dataset.get("type")}')
    # statistics are not needed here and can take long
    built = DATASETS.build({**dataset, 'cache': None, 'rare_class_sampling': None})
    files = built.files()
    to_write, total, there = 0, 0, 0
    for file in files:
        total += _entry_bytes(file)
        entry = entry_path(folder, file)
        there += entry.stat().st_size if entry.is_file() else 0
        to_write += problem(folder, file) is not None
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return CachePlan(
        folder=folder,
        files=tuple(files),
        to_write=to_write,
        total_bytes=total,
        missing_bytes=max(0, total - there),
        free_bytes=shutil.disk_usage(existing).free,
    )


def write_cache(plan: CachePlan, *, workers: int = 1) -> list[str]:
    """Writes the missing entries and compares the hashes of the others; may be run again.

    Args:
        plan: What `plan_cache` found.
        workers: Processes.

    Returns:
        Lines that say what was done.

    Raises:
        DataError: The disk has too little space, or a file cannot be used.
        OSError: An entry cannot be written.
    """
    # an entry is written beside the one that it replaces
    spare = workers * max(_entry_bytes(file) for file in plan.files)
    needed = plan.missing_bytes + spare
    if needed > plan.free_bytes:
        raise DataError(
            f'the cache {plan.folder} needs {_gigabytes(needed)} more, but only '
            f'{_gigabytes(plan.free_bytes)} are free there; make space, or name a folder on '
            'another disk with --out'
        )
    plan.folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(entry_path(plan.folder, file) for file in plan.files)
    writer = partial(_write, plan.folder)
    done = map_files(writer, plan.files, workers=workers, description='cache')
    return [f'{plan.folder}: {done.count(True)} entries written, {done.count(False)} were there']


def _write(folder: Path, file: PixelFile) -> bool:
    """Whether the entry had to be written."""
    if problem(folder, file) is None and is_intact(folder, file):
        return False
    write_entry(folder, file)
    return True


def _entry_bytes(file: PixelFile) -> int:
    """Space of an entry, in whole blocks."""
    if file.size is None:
        try:
            height, width = size_by_start(file.path)
        except DataError:
            return 0  # it is named when it is to be decoded, and the others are written
    else:
        height, width = file.size
    pixels = height * width
    return HEADER + -(-pixels * (1 if file.is_label else 3) // _BLOCK) * _BLOCK


def _gigabytes(number: int) -> str:
    return f'{number / 1e9:.2f} GB'
