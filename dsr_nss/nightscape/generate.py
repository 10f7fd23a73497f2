"""Generates a whole Nightscape set on all cores."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsr_nss.nightscape.layouts import Job, split_sizes, write_correspondences, write_scene
from dsr_nss.nightscape.scenes import Size
from dsr_nss.nightscape.version import NIGHTSCAPE_VERSION
from dsr_nss.pool import map_files, usable_cores

INFO_NAME = 'nightscape.json'
FULL_SOURCE_SIZE: Size = (1024, 2048)
FULL_TARGET_SIZE: Size = (1080, 1920)
_FOLDERS = ('cityscapes', 'dark_zurich', 'acdc', 'nighttime_driving', 'truth')


@dataclass(frozen=True)
class Settings:
    """What to generate.

    Attributes:
        scenes: Number of source train scenes; the other splits follow (`layouts.split_sizes`).
        seed: Same seed, versions and settings, same bytes.
        source_size: Height and width of the source.
        target_size: Height and width of all other sets.
    """

    scenes: int
    seed: int
    source_size: Size
    target_size: Size

    def __post_init__(self) -> None:
        if self.scenes < 1:
            raise ValueError(f'scenes must be at least 1, got {self.scenes}')
        if self.seed < 0:
            raise ValueError(f'seed must not be negative, got {self.seed}')
        for height, width in (self.source_size, self.target_size):
            if height < 32 or width < 32 or height > width:
                raise ValueError(
                    f'size must be HxW with 32 <= H <= W, as in 256x512; got {height}x{width}'
                )


def parse_size(text: str) -> tuple[Size, Size]:
    """Source and target size of `HxW` or `full`.

    Raises:
        ValueError: The text is neither.
    """
    if text == 'full':
        return FULL_SOURCE_SIZE, FULL_TARGET_SIZE
    parts = text.lower().split('x')
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise ValueError(f"size must be HxW, for instance 256x512, or 'full'; got {text!r}")
    size = (int(parts[0]), int(parts[1]))
    return size, size


def prepare_folder(out: Path, settings: Settings, overwrite: bool) -> None:
    """Make `out` ready: remove an older Nightscape in it, refuse to touch anything else.

    Args:
        out: Folder of the set.
        settings: What is going to be generated.
        overwrite: Also replace a whole set of other settings, and write into a folder that holds
            other things; those are kept.

    Raises:
        FileExistsError: `out` holds something that is not ours, or another whole set.
        NotADirectoryError: `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f'{out} is a file; name a folder')
    if (out / INFO_NAME).is_file():
        if not overwrite:
            _refuse_to_replace(out, settings)
        for name in _FOLDERS:
            if (out / name).is_symlink():
                (out / name).unlink()
            elif (out / name).is_dir():
                shutil.rmtree(out / name)
        return
    if not out.is_dir() or not any(out.iterdir()):
        out.mkdir(parents=True, exist_ok=True)
        return
    if not overwrite:
        raise FileExistsError(
            f'{out} is not empty and holds no {INFO_NAME}: it is not a Nightscape set. '
            'Name an empty or new folder, or pass --overwrite to write into it.'
        )
    present = [name for name in _FOLDERS if (out / name).exists() or (out / name).is_symlink()]
    if present:
        raise FileExistsError(
            f'{out} holds {", ".join(present)} of another origin, which is never replaced; '
            'name another folder.'
        )


def _refuse_to_replace(out: Path, settings: Settings) -> None:
    """An unfinished set, or the same one again, loses nobody anything."""
    try:
        there = json.loads((out / INFO_NAME).read_text())
        whole = there['complete']
    except (ValueError, KeyError, TypeError):
        whole = False  # killed while the file was written, at the start of a generation
    if not whole:
        return
    new = _info(settings)
    other = [f'{key} {there.get(key)}, not {new[key]}' for key in new if there.get(key) != new[key]]
    if other:
        raise FileExistsError(
            f'{out} holds a whole Nightscape set of other settings ({"; ".join(other)}). '
            'Name another folder, or pass --overwrite to replace it.'
        )


def generate(
    out: Path | str,
    settings: Settings,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    show_progress: bool = True,
) -> dict[str, int]:
    """Write a whole set.

    Args:
        out: Its folder; see `prepare_folder`.
        settings: What to generate.
        workers: Processes; None for as many as there are cores.
        overwrite: As `prepare_folder` has it.
        show_progress: Show a progress bar.

    Returns:
        The number of scenes in every split.

    Raises:
        FileExistsError, NotADirectoryError: `prepare_folder` refuses `out`.
    """
    # Imported here: the statistics are the only link to the data sets' code.
    from dsr_nss.datasets.cityscapes import write_class_statistics

    out = Path(out)
    workers = usable_cores() if workers is None else workers
    if workers < 1:
        raise ValueError(f'workers must be at least 1, got {workers}')
    prepare_folder(out, settings, overwrite)
    sizes = split_sizes(settings.scenes)
    _write_info(out, settings, sizes, complete=False)
    jobs = [
        Job(
            split,
            index,
            settings.seed,
            settings.source_size if split.startswith('cityscapes') else settings.target_size,
            str(out),
        )
        for split, count in sizes.items()
        for index in range(count)
    ]
    map_files(
        write_scene, jobs, workers=workers, description='nightscape', show_progress=show_progress
    )
    write_correspondences(out, sizes['dark_zurich/train'])
    write_class_statistics(out / 'cityscapes', workers)
    _write_info(out, settings, sizes, complete=True)
    return sizes


def _write_info(out: Path, settings: Settings, sizes: dict[str, int], *, complete: bool) -> None:
    info = {'name': 'nightscape', **_info(settings), 'splits': sizes, 'complete': complete}
    (out / INFO_NAME).write_text(json.dumps(info, indent=2) + '\n')


def _info(settings: Settings) -> dict[str, Any]:
    """What decides every byte of a set, as `INFO_NAME` has it."""
    return {
        'version': NIGHTSCAPE_VERSION,
        'seed': settings.seed,
        'scenes': settings.scenes,
        'source_size': list(settings.source_size),
        'target_size': list(settings.target_size),
    }
