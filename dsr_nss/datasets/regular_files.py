"""The bytes of a file that somebody named: never of something that would block, or fill the memory.

A folder of images may hold pipes, devices, sockets and links to themselves under names that end in
`.png`; opening one of them can wait for ever.
"""

import os
import stat
from pathlib import Path

from dsr_nss.errors import DataError

#: More than any image that is decoded here has, see `images.MAX_PIXELS`.
MAX_BYTES = 2**30
_KINDS = {
    stat.S_IFDIR: 'a folder',
    stat.S_IFIFO: 'a pipe',
    stat.S_IFSOCK: 'a socket',
    stat.S_IFCHR: 'a device',
    stat.S_IFBLK: 'a device',
}


def read_bytes(path: str | Path, first: int | None = None) -> bytes:
    """The content of a regular file.

    Args:
        path: The file; links are followed.
        first: How many bytes to read from the start; None: all.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is no regular file, is empty, too large, or cannot be opened or read.
    """
    status = require_regular(path)
    if status.st_size > MAX_BYTES and first is None:
        raise DataError(f'{path}: {status.st_size / 1e9:.1f} GB, more than an image has here')
    try:
        with open(path, 'rb') as file:
            data = file.read(-1 if first is None else first)
    except OSError as error:
        raise DataError(f'{path}: cannot be read ({error.strerror})') from None
    except MemoryError:
        raise DataError(f'{path}: {status.st_size} bytes do not fit into the memory') from None
    if not data:
        raise DataError(f'{path}: the file is empty; get it again')
    return data


def require_regular(path: str | Path) -> os.stat_result:
    """The state of a regular file; links are followed.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is something else, a link to itself, or a name that is too long.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: no such file') from None
    except OSError as error:
        raise DataError(f'{path}: cannot be read ({error.strerror})') from None
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), 'something else')
        raise DataError(f'{path}: {kind}, not a file; take it away')
    return status
