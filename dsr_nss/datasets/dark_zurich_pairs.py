"""Which day image shows the place of a Dark Zurich night image: from the published files.

Three sources, tried in this order: a pair list (`pairs_train.txt`, written by
`tools/prepare_data.py dark_zurich`), the published correspondences (`corresp/train/night/**/*.csv`,
lines `train/night/<sequence>/<frame>,train/day/<sequence>/<frame>`), the GPS positions
(`gps/train/...`).
"""

import csv
import io
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from dsr_nss.commands import call
from dsr_nss.datasets.base import find_files
from dsr_nss.datasets.listed_files import read_text, require_once
from dsr_nss.errors import DataError
from dsr_nss.files import write_atomically

PAIR_LIST = 'pairs_train.txt'
_SUFFIX = '_rgb_anon.png'
_EARTH_RADIUS = 6_371_000.0

#: (night, day) file names relative to the data root; day is None where there is no reference.
Pairs = list[tuple[str, str | None]]


def _file_of(entry: str) -> str:
    """The file name, below the root, of a list entry: a file name or a published frame key."""
    entry = entry.replace('\\', '/')  # of a list that was written on Windows
    if entry.endswith(('.png', '.jpg', '.jpeg')):
        return entry
    return f'rgb_anon/{entry}{_SUFFIX}'


def read_pair_list(path: Path) -> Pairs:
    """Reads a pair list.

    Args:
        path: Text file with one line for each night image: `night day` or `night` alone, separated
            by blanks or a comma. An entry is a file name below the data root
            (`rgb_anon/train/night/GOPR0351/GOPR0351_frame_000159_rgb_anon.png`) or a published
            frame key (`train/night/GOPR0351/GOPR0351_frame_000159`). Empty lines and lines that
            start with `#` are comments.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is no text, a line has more than two entries, there are no lines, or two of
            the same night image.
    """
    if not path.exists():
        raise FileNotFoundError(f'the pair list {path} does not exist')
    pairs: Pairs = []
    numbers = []
    for number, line in enumerate(read_text(path).split('\n'), 1):
        if not line.strip() or line.lstrip().startswith('#'):
            continue
        entries = [_file_of(entry) for entry in re.split(r'[,\s]+', line.strip()) if entry]
        if len(entries) > 2:
            raise DataError(f'{path}, line {number}: expected `night day` or `night`, got {line!r}')
        pairs.append((entries[0], entries[1] if len(entries) == 2 else None))
        numbers.append(number)
    if not pairs:
        raise DataError(f'the pair list {path} is empty')
    nights = (night for night, _ in pairs)
    require_once(zip(numbers, nights, strict=True), path, 'night image')
    return pairs


def write_pair_list(path: Path, pairs: Pairs) -> Path:
    """Writes a pair list, whole or not at all."""
    text = ''.join(f'{night} {day}\n' if day else f'{night}\n' for night, day in pairs)
    return write_atomically(path, text)


def correspondences(root: Path) -> dict[str, str]:
    """The published matches of the train split: `{night key: day key}`; empty without files.

    Raises:
        DataError: Two rows give a night frame different day frames.
    """
    matches: dict[str, str] = {}
    for path in find_files(root / 'corresp/train/night', '.csv'):
        for cells in _rows(path):
            if len(cells) < 2 or not all('_frame_' in cell for cell in cells[:2]):
                continue
            night, day = cells[:2]
            if matches.setdefault(night, day) != day:
                raise DataError(
                    f'{path}: gives {night} the day frame {day}, but there is another row with '
                    f'{matches[night]}; keep one of them'
                )
    return matches


def _rows(path: Path) -> Iterator[list[str]]:
    """The cells of a CSV file, with the separators of this system's paths."""
    for row in csv.reader(io.StringIO(read_text(path))):
        yield [cell.strip().replace('\\', '/') for cell in row]


def _numbers(cells: Sequence[str]) -> list[float]:
    numbers = []
    for cell in cells:
        try:
            numbers.append(float(cell))
        except ValueError:
            continue
    return numbers


def read_positions(root: Path, time: str) -> dict[str, tuple[float, float]]:
    """GPS positions of the train images of one time of day.

    Args:
        root: Root of the set.
        time: day or night.

    Returns:
        `{frame key: (latitude, longitude)}` in degrees; empty without GPS files. A row gives the
        frame and then latitude and longitude; a file of one frame (named by it) gives the numbers
        alone.
    """
    positions = {}
    folder = root / 'gps/train' / time
    for path in find_files(folder, ('.csv', '.txt')):
        sequence = path.relative_to(folder).parts[0].split('.')[0]
        named = re.match(r'.*_frame_\d+', path.name)
        for cells in _rows(path):
            if cells and '_frame_' in cells[0]:
                frame, numbers = Path(cells[0]).name, _numbers(cells[1:])
            elif named:
                frame, numbers = named.group(), _numbers(cells)
            else:
                continue
            if len(numbers) >= 2:
                frame = frame.removesuffix(_SUFFIX)
                sequence = frame.split('_frame_')[0] or sequence
                positions[f'train/{time}/{sequence}/{frame}'] = (numbers[0], numbers[1])
    return positions


def nearest_by_position(root: Path) -> dict[str, str]:
    """For each night frame with a GPS position the day frame nearest to it: `{night: day}`."""
    night, day = read_positions(root, 'night'), read_positions(root, 'day')
    if not night or not day:
        return {}
    here, there = np.radians(list(night.values())), np.radians(list(day.values()))
    scale = np.array([1.0, np.cos(here[:, 0].mean())])  # metres are equal in both directions
    here, there = here * scale * _EARTH_RADIUS, there * scale * _EARTH_RADIUS
    keys = list(day)
    return {
        name: keys[int(np.square(there - position).sum(1).argmin())]
        for name, position in zip(night, here, strict=True)
    }


def pairs_of_published_files(root: Path) -> Pairs:
    """Pairs of all train night images on disk, from the correspondences or the GPS positions.

    Raises:
        FileNotFoundError: There is neither.
        DataError: What there is names none of the night images, or contradicts itself.
    """
    matches = correspondences(root) or nearest_by_position(root)
    if not matches:
        raise FileNotFoundError(
            f'Dark Zurich: no day references: there is no {root / PAIR_LIST}, and neither '
            f'{root / "corresp/train/night"}/**/*.csv nor {root / "gps/train"} holds any. The '
            'folders corresp and gps are part of Dark_Zurich_train_anon.zip. To train without '
            "references use type='FolderDataset' on the night images."
        )
    images = find_files(root / 'rgb_anon/train/night', _SUFFIX)
    keys = [p.relative_to(root / 'rgb_anon').as_posix().removesuffix(_SUFFIX) for p in images]
    if keys and not matches.keys() & set(keys):
        raise DataError(
            f'Dark Zurich: {root / "corresp"} (or {root / "gps"}) has no day reference for any of '
            f'the {len(keys)} night images: it names {next(iter(matches))}, the first image is '
            f'{keys[0]}; unpack Dark_Zurich_train_anon.zip again'
        )
    return [(_file_of(key), _file_of(matches[key]) if key in matches else None) for key in keys]


def train_pairs(root: Path, pair_list: str | None = None) -> Pairs:
    """The pairs of the train split.

    Args:
        root: Root of the set.
        pair_list: A list of one's own, absolute or below `root`; None takes `pairs_train.txt` or,
            if that does not exist, derives the pairs from the published files.
    """
    if pair_list is not None:
        return read_pair_list(root / pair_list)
    if (root / PAIR_LIST).is_file():
        pairs = read_pair_list(root / PAIR_LIST)
        number = len(find_files(root / 'rgb_anon/train/night', _SUFFIX))
        if number > len(pairs):
            print_log(
                f'{root / PAIR_LIST} names {len(pairs)} of the {number} night images beside it, '
                f'and only these are trained on; `{call("prepare_data")} dark_zurich {root}` makes '
                'it anew',
                'current',
                logging.WARNING,
            )
        return pairs
    return pairs_of_published_files(root)
