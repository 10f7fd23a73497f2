"""Files that a list names: they must lie below the root that the list belongs to."""

import os
from pathlib import Path

from dsr_nss.errors import DataError


def listed_file(root: Path, name: object, where: str) -> Path:
    """The file of an entry.

    A list may come from anywhere, and what it names is read and may be shown, copied into a report
    or kept in a cache. Links below the root are the user's own and are followed.

    Args:
        root: What the names of the list are relative to.
        name: The entry; an absolute name is one of a file below the root too, or refused.
        where: The list and the line, for the message.

    Raises:
        DataError: The entry is no file name, or one of a file elsewhere.
    """
    if not isinstance(name, str) or not name.isprintable():
        raise DataError(f'{where}: {name!r:.100} is no file name')
    path = root / name
    inside, found = os.path.abspath(root), os.path.abspath(path)
    if os.path.commonpath([inside, found]) != inside:
        raise DataError(
            f'{where}: {name:.200} lies outside of {root}; a list names files below its root only'
        )
    return path
