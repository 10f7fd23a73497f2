"""Files that are written whole or not at all."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dsr_nss.errors import ConfigError

#: Seconds after which a temporary file belongs to no running program: it lives for one write.
_ABANDONED = 3600
#: Bytes of a name to which a temporary one can add its own; file systems allow 255.
_LONGEST = 200


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
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=temporary_prefix(path))
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


def temporary_prefix(path: Path) -> str:
    """How the temporary names of a file begin; of a long name a digest stands for its end."""
    if len(path.name.encode(errors='surrogateescape')) <= _LONGEST:
        return f'.{path.name}.'
    digest = hashlib.sha256(path.name.encode(errors='surrogateescape')).hexdigest()[:16]
    return f'.{path.name[:40]}.{digest}.'


def remove_abandoned(paths: Iterable[Path]) -> None:
    """Removes what programs that were killed left of `write_atomically(path, ...)`.

    Only regular files of its own names, and none that is younger than an hour: another program may
    be writing it.
    """
    names: dict[Path, list[str]] = {}
    for path in paths:
        names.setdefault(path.parent, []).append(temporary_prefix(path))
    for folder, prefixes in names.items():
        if not folder.is_dir():
            continue
        for one in list(os.scandir(folder)):
            ours = one.name.startswith(tuple(prefixes)) and one.is_file(follow_symlinks=False)
            if ours and time.time() - one.stat().st_mtime > _ABANDONED:
                Path(one.path).unlink(missing_ok=True)


def make_folder(path: str | Path) -> Path:
    """Creates a folder and checks that it can be written, before any work is done for it.

    Raises:
        ConfigError: It cannot; says why.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ConfigError(f'cannot write to {path} ({error.strerror}); choose another') from error
    return path


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Makes the folder and writes the file whole or not at all."""
    path = Path(path)
    make_folder(path.parent)
    return write_atomically(path, content)


def write_text(path: str | Path, text: str) -> Path:
    """The same for text, in UTF-8."""
    return write_bytes(path, text.encode('utf-8'))


def write_json(path: str | Path, content: Mapping[str, Any]) -> Path:
    """JSON with numbers as they are (`float` round-trips) and None as null."""
    return write_text(path, json.dumps(content, indent=2, allow_nan=False) + '\n')
