"""How many pixels of each class each label holds: what rare-class sampling of the source needs."""

import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from dsr_nss.classes import CLASSES, IGNORE_INDEX
from dsr_nss.datasets.images import check_label_ids, count_ids, read_label
from dsr_nss.errors import DataError
from dsr_nss.files import write_atomically
from dsr_nss.pool import map_files

#: `{key of the item: {class id: pixels}}`; classes that do not occur are left out.
ClassCounts = dict[str, dict[int, int]]

FILE_NAME = 'class_statistics.json'
_VERSION = 1
_LABEL_SUFFIX = '_gtFine_labelTrainIds.png'


def count_label(path: str, num_classes: int = len(CLASSES)) -> dict[int, int]:
    """Pixels of each class in one label file; ignore pixels are not counted.

    Raises:
        DataError: The file cannot be read or has ids that are no train ids.
    """
    counts = count_ids(read_label(path))
    check_label_ids(counts, path, num_classes)
    return {i: int(n) for i, n in enumerate(counts) if n and i != IGNORE_INDEX}


def count_labels(
    labels: Mapping[str, str],
    *,
    num_classes: int = len(CLASSES),
    workers: int = 1,
    show_progress: bool = True,
) -> ClassCounts:
    """Counts all label files.

    Args:
        labels: `{key: label file}`.
        num_classes: Valid ids are `0..num_classes - 1` and 255.
        workers: Processes.
        show_progress: Whether to show a progress bar.
    """
    counts = map_files(
        partial(count_label, num_classes=num_classes),
        labels.values(),
        workers=workers,
        description='class statistics',
        show_progress=show_progress,
    )
    return dict(zip(labels, counts, strict=True))


def save_class_counts(
    path: Path, counts: ClassCounts, states: Mapping[str, str] | None = None
) -> Path:
    """Writes counts as JSON, whole or not at all.

    Args:
        path: The file.
        counts: What to write.
        states: Key -> which state of the label was counted, see `_state` and `_size`.
    """
    files = {key: {str(i): n for i, n in sorted(counts[key].items())} for key in sorted(counts)}
    content: dict[str, Any] = {'version': _VERSION, 'files': files}
    if states is not None:
        content['states'] = dict(states)
    return write_atomically(path, json.dumps(content, indent=0))


def load_class_counts(path: Path) -> ClassCounts:
    """Reads what `save_class_counts` wrote.

    Raises:
        DataError: The file is no such statistics; the message says what is wrong.
    """
    try:
        content = json.loads(path.read_text())
        if content['version'] != _VERSION:
            raise DataError(f'{path}: version {content["version"]}, expected {_VERSION}; delete it')
        files = content['files']
        return {key: {int(i): int(n) for i, n in row.items()} for key, row in files.items()}
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f'{path}: no class statistics ({type(error).__name__}: {error}); delete it and '
            'prepare the data again'
        ) from None


def write_class_statistics(
    root: Path | str, split: str = 'train', workers: int = 1, show_progress: bool = True
) -> Path:
    """Counts the `labelTrainIds` of a Cityscapes layout and writes `class_statistics.json`.

    Args:
        root: Folder with `gtFine/<split>/<city>/*_gtFine_labelTrainIds.png`.
        split: The split to count.
        workers: Processes.
        show_progress: Whether to show a progress bar.

    Returns:
        The file. Its keys are `<split>/<city>/<name>`, without suffixes.

    Raises:
        FileNotFoundError: There are no such labels.
        DataError: A label cannot be used.
    """
    root = Path(root)
    folder = root / 'gtFine' / split
    paths = sorted(folder.rglob(f'*{_LABEL_SUFFIX}'))
    if not paths:
        raise FileNotFoundError(
            f'no *{_LABEL_SUFFIX} below {folder}; '
            f'`python tools/prepare_data.py cityscapes {root}` makes them'
        )
    labels = {cityscapes_key(path, root / 'gtFine', _LABEL_SUFFIX): str(path) for path in paths}
    counts = count_labels(labels, workers=workers, show_progress=show_progress)
    sizes = {key: _size(path) for key, path in labels.items()}
    return save_class_counts(root / FILE_NAME, counts, sizes)


def cityscapes_key(path: Path, folder: Path, suffix: str) -> str:
    """`<split>/<city>/<name>` of an image or label below `leftImg8bit` or `gtFine`."""
    return path.relative_to(folder).as_posix().removesuffix(suffix)


def read_class_statistics(root: Path | str, labels: Mapping[str, str] | None = None) -> ClassCounts:
    """Reads the statistics of a Cityscapes layout.

    Args:
        root: Root of the set, or the file itself.
        labels: `{key: label file}` of the items that are needed; None returns all.

    Raises:
        FileNotFoundError: There are none; the message names the command that makes them.
        DataError: The file is damaged, knows nothing of some items or was made of other labels.
    """
    root = Path(root)
    path = root / FILE_NAME if root.suffix != '.json' else root
    command = f'`python tools/prepare_data.py cityscapes {path.parent}`'
    if not path.is_file():
        raise FileNotFoundError(
            f'{path} is missing: rare-class sampling needs the class statistics of the source. '
            f'{command} makes them.'
        )
    counts = load_class_counts(path)
    if labels is None:
        return counts
    missing = [key for key in labels if key not in counts]
    if missing:
        raise DataError(
            f'{path}: {len(missing)} of {len(labels)} images are not in it (first: {missing[0]}); '
            f'make it anew: {command}'
        )
    # of the labels' states the size alone: their times change when a set is copied
    sizes = json.loads(path.read_text()).get('states', {})
    changed = [k for k, label in labels.items() if k in sizes and sizes[k] != _size(label)]
    if changed:
        raise DataError(
            f'{path} was made of other labels: {len(changed)} of {len(labels)} have another size '
            f'now (first: {labels[changed[0]]}); make it anew: {command}'
        )
    return {key: counts[key] for key in labels}


def cached_class_counts(
    cache: Path, labels: Mapping[str, str], *, num_classes: int = len(CLASSES)
) -> ClassCounts:
    """Counts of labels that have no prepared statistics, kept in a file for the next start.

    Args:
        cache: The file; it is made anew if a label has changed or is not in it, and not made in a
            folder that is marked read-only.
        labels: `{key: label file}`.
        num_classes: Valid ids are `0..num_classes - 1` and 255.
    """
    states = {key: _state(path) for key, path in labels.items()}
    if cache.is_file():
        counts = load_class_counts(cache)
        earlier = json.loads(cache.read_text()).get('states', {})
        known = labels.keys() <= counts.keys() and states.items() <= earlier.items()
        kept = {key: counts[key] for key in labels} if known else {}
        # counted for a config with more classes: counting again names the label
        if known and all(i < num_classes for row in kept.values() for i in row):
            return kept
    print_log(f'counting the classes of {len(labels)} labels for rare-class sampling', 'current')
    counts = count_labels(labels, num_classes=num_classes, show_progress=False)
    if cache.parent.stat().st_mode & 0o222:  # root could write despite the mode
        try:
            save_class_counts(cache, counts, states)
        except OSError as error:
            print_log(f'the class statistics are not kept: {error}', 'current')
    return counts


def _size(path: str) -> str:
    return f'{os.stat(path).st_size} bytes'


def _state(path: str) -> str:
    """Differs when a label is replaced, by an older file too, as copying programs do."""
    status = os.stat(path)
    return f'{status.st_size} bytes of {status.st_mtime_ns}'
