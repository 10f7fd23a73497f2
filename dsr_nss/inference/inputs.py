"""What a user wants to be predicted: images, folders and videos, and how the results are called."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dsr_nss.datasets.base import IMAGE_SUFFIXES, files_below
from dsr_nss.errors import ConfigError
from dsr_nss.inference.pictures import COLOUR_FOLDER, LABEL_FOLDER, OVERLAY_FOLDER

#: Describes the last run of an output folder.
RUN_FILE = 'infer.json'
#: Where the results are.
FOLDERS = (LABEL_FOLDER, COLOUR_FOLDER, OVERLAY_FOLDER)
VIDEO_SUFFIXES = (
    '.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mpg', '.mpeg', '.wmv', '.flv', '.mts',
    '.3gp',
)  # fmt: skip


@dataclass(frozen=True)
class Input:
    """One image or video.

    Attributes:
        path: The file.
        name: Name of its results: the path below the folder that was given, without suffix.
        is_video: Whether it holds frames.
    """

    path: Path
    name: str
    is_video: bool


def find_inputs(
    paths: Sequence[str | Path], out: str | Path, unique_names: bool = True
) -> tuple[list[Input], Counter[str]]:
    """Lists the images and videos of files and, at any depth, of folders.

    Args:
        paths: Files and folders.
        out: Folder of the results; what lies below it is not taken for an input, and neither are
            results in other folders.
        unique_names: Whether inputs whose results would have one name are refused.

    Returns:
        The inputs in the order of `paths`, and how many other files lie in the folders, by suffix.

    Raises:
        FileNotFoundError: A path does not exist, or a folder holds no image and no video.
        ConfigError: Two inputs would give results of one name, or a file lies among the results.
    """
    out = Path(out).resolve()
    inputs: dict[tuple[Path, str], Input] = {}
    others: Counter[str] = Counter()
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f'{path}: no such file or folder')
        found = _in_folder(path, out, others) if path.is_dir() else [_input(path, path.parent)]
        if not path.is_dir() and any(_real(path).is_relative_to(out / f) for f in FOLDERS):
            raise ConfigError(
                f'{path} lies where results go; choose another --out, so that none replaces it'
            )
        if not found and path.resolve().is_relative_to(out):
            raise FileNotFoundError(
                f'{path} lies in {out}, where results go and nothing is taken for an input; choose '
                'another --out'
            )
        if not found:
            raise FileNotFoundError(
                f'{path} holds no image ({", ".join(IMAGE_SUFFIXES)}) and no video '
                f'({", ".join(VIDEO_SUFFIXES)})'
            )
        inputs |= {(_real(one.path), one.name): one for one in found}
    chosen = list(inputs.values())
    if unique_names:
        _check_names(chosen)
    return chosen, others


def _real(path: Path) -> Path:
    """Without links; a link to itself is left as it is (`Path.resolve` raises)."""
    return Path(os.path.realpath(path))


def _in_folder(folder: Path, out: Path, others: Counter[str]) -> list[Input]:
    found = []
    files = sorted(files_below(folder))
    earlier = [path.parent / name for path in files if path.name == RUN_FILE for name in FOLDERS]
    for path in files:
        inside = path.relative_to(folder)
        if any(part.startswith('.') for part in inside.parts):
            continue
        if _real(path).is_relative_to(out) or any(map(path.is_relative_to, earlier)):
            continue  # results of an earlier run
        if path.suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES):
            found.append(_input(path, folder))
        else:
            others[path.suffix.lower() or 'no suffix'] += 1
    return found


def _input(path: Path, root: Path) -> Input:
    name = path.relative_to(root).with_suffix('').as_posix()
    return Input(path, name, path.suffix.lower() in VIDEO_SUFFIXES)


def _check_names(inputs: Sequence[Input]) -> None:
    """Two files of one name would overwrite each other; so would a video's frames and images."""
    names: dict[tuple[str, bool], Input] = {}
    for one in inputs:
        if (one.name, one.is_video) in names:
            raise _same_name(names[one.name, one.is_video], one)
        names[one.name, one.is_video] = one
    for one in inputs:
        for parent in Path(one.name).parents:
            video = names.get((parent.as_posix(), True))
            if video is not None:
                raise _same_name(video, one)


def _same_name(first: Input, second: Input) -> ConfigError:
    return ConfigError(
        f'{first.path} and {second.path} would both write {first.name}: rename one, give a folder '
        'above both, or predict them into two folders'
    )
