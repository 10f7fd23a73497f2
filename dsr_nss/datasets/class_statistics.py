"""How many pixels of each class each label holds: what rare-class sampling of the source needs.

The counts are kept in a file beside a checksum of each label, so labels that were replaced since
are counted anew, whoever made the file and however the labels were copied.
"""

import json
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

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


def count_label(path: str, num_classes: int = len(CLASSES)) -> dict[int, int]:
    """Pixels of each class in one label file; ignore pixels are not counted.

    Raises:
        DataError: The file cannot be read or has ids that are no train ids.
    """
    counts = count_ids(read_label(path))
    check_label_ids(counts, path, num_classes)
    return {i: int(n) for i, n in enumerate(counts) if n and i != IGNORE_INDEX}


def save_class_counts(path: Path, counts: ClassCounts, checksums: Mapping[str, int]) -> Path:
    """Writes counts as JSON, whole or not at all.

    Args:
        path: The file.
        counts: What to write.
        checksums: Key -> checksum of the label that was counted.
    """
    files = {key: {str(i): n for i, n in sorted(counts[key].items())} for key in sorted(counts)}
    content = {'version': _VERSION, 'files': files, 'checksums': dict(sorted(checksums.items()))}
    return write_atomically(path, json.dumps(content, indent=0))


def load_class_counts(path: Path) -> tuple[ClassCounts, dict[str, int]]:
    """Reads what `save_class_counts` wrote: the counts and the checksums.

    Raises:
        DataError: The file is no such statistics; the message says what is wrong.
    """
    try:
        content = json.loads(path.read_text())
        if content['version'] != _VERSION:
            raise DataError(f'{path}: version {content["version"]}, expected {_VERSION}; delete it')
        files = content['files']
        counts = {key: {int(i): int(n) for i, n in row.items()} for key, row in files.items()}
        return counts, dict(content.get('checksums', {}))  # earlier releases wrote none
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f'{path}: no class statistics ({type(error).__name__}: {error}); delete it and '
            'prepare the data again'
        ) from None


def class_counts(
    path: Path,
    labels: Mapping[str, str],
    *,
    num_classes: int = len(CLASSES),
    workers: int = 1,
) -> ClassCounts:
    """The counts of labels: kept ones of labels that are as they were, new ones of all others.

    Args:
        path: Where the counts are kept; nothing is written into a folder that is marked read-only.
        labels: `{key: label file}`.
        num_classes: Valid ids are `0..num_classes - 1` and 255.
        workers: Processes.

    Raises:
        DataError: The kept file is damaged, or a label cannot be used.
    """
    counts, checksums = load_class_counts(path) if path.is_file() else ({}, {})
    now = {key: zlib.crc32(Path(label).read_bytes()) for key, label in labels.items()}
    # counted for a config with more classes: counting again names the label
    beyond = {key for key, row in counts.items() if any(i >= num_classes for i in row)}
    stale = {k: v for k, v in labels.items() if checksums.get(k) != now[k] or k in beyond}
    if stale:
        print_log(f'counting the classes of {len(stale)} labels for rare-class sampling', 'current')
        rows = map_files(
            partial(count_label, num_classes=num_classes),
            stale.values(),
            workers=workers,
            description='class statistics',
        )
        counts |= zip(stale, rows, strict=True)
        if path.parent.stat().st_mode & 0o222:  # root could write despite the mode
            try:
                save_class_counts(path, counts, checksums | now)
            except OSError as error:
                print_log(f'the class statistics are not kept: {error}', 'current')
    return {key: counts[key] for key in labels}
