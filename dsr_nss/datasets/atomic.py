"""Writing a file whole or not at all."""

import os
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

#: Seconds after which a temporary file belongs to no running program: it lives for one write.
_ABANDONED = 3600


def write_atomically(path: Path, content: bytes | str) -> Path:
    """Writes `content` to a temporary file beside `path` and moves it there.

    An interrupted program leaves the old file or none, never half of one.

    Args:
        path: The file to make; its folder exists.
        content: Bytes, or text that is written as UTF-8.

    Returns:
        `path`.

    Raises:
        OSError: It cannot be written, for instance on a full disk; names `path`.
    """
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(data)
        os.chmod(temporary, 0o644)  # mkstemp makes it private; other users may share the data
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    return path


def remove_abandoned(paths: Iterable[Path]) -> None:
    """Removes what programs that were killed left of `write_atomically(path, ...)`.

    Only regular files of its own names, and none that is younger than an hour: another program may
    be writing it.
    """
    names: dict[Path, list[str]] = {}
    for path in paths:
        names.setdefault(path.parent, []).append(f'.{path.name}.')
    for folder, prefixes in names.items():
        if not folder.is_dir():
            continue
        for one in list(os.scandir(folder)):
            ours = one.name.startswith(tuple(prefixes)) and one.is_file(follow_symlinks=False)
            if ours and time.time() - one.stat().st_mtime > _ABANDONED:
                Path(one.path).unlink(missing_ok=True)
