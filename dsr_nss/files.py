"""Files that are written whole or not at all."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from dsr_nss.errors import ConfigError, StorageError

#: What systems report when a disk, a quota or a limit of the user is used up.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

#: Seconds after which a temporary file belongs to no running program: it lives for one write.
_ABANDONED = 3600
#: Bytes of a name to which a temporary one can add its own; file systems allow 255.
_LONGEST = 200


def require_other_files(
    sources: Sequence[str | Path | None], destinations: Sequence[str | Path | None]
) -> None:
    """Refuses, before any work, to write over what is read, twice into one file or into a folder.

    Raises:
        ConfigError: Two of the paths are the same file, or a destination is a folder.
    """
    paths = [Path(path) for path in (*sources, *destinations) if path is not None]
    if len({path.resolve() for path in paths}) < len(paths):
        names = ', '.join(map(str, paths))
        raise ConfigError(f'what is read and written must be different files, got {names}')
    for path in destinations:
        if path is not None and Path(path).is_dir():
            raise ConfigError(f'{path} is a folder; name the file to write')


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, beside `path`, that takes its name when the block ends without an error.

    An interrupted program leaves the old file or none, never half of one; after a power failure
    too, since the content and then the name are on the disk before this returns. The name of the
    temporary file is unique: two programs never write into one. A link keeps leading to its file.

    Args:
        path: The file to make; its folder exists.

    Raises:
        StorageError: It cannot be written, for instance on a full disk; says what to do.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():  # /dev/null would become a file
        raise StorageError(errno.EINVAL, f'cannot write {path}: it is there and no regular file')
    partial: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=temporary_prefix(path))
        partial = Path(name)
        with os.fdopen(handle, 'wb') as file:
            watched = _Watched(file)
            try:
                yield cast(BinaryIO, watched)
            except RuntimeError as error:
                if watched.error is None:
                    raise
                # torch reports a write that failed as a position that it did not expect
                raise watched.error from error
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o644)  # mkstemp makes it private; other users may share the data
        os.replace(partial, path)
        sync_folder(path.parent)
    except BaseException as error:
        if partial is not None:
            with suppress(OSError):
                partial.unlink()
        if isinstance(error, OSError) and error.errno is not None:
            raise storage_error(path, error) from error
        raise


class _Watched:
    """A file that remembers why a write failed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk; some file systems cannot, and need not."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def storage_error(path: Path, error: OSError) -> StorageError:
    """The sentence for a file that could not be written: where, why, and what to free."""
    text = f'cannot write {path}: {error.strerror}'
    if error.errno in DISK_FULL:
        with suppress(OSError):
            text += f' ({shutil.disk_usage(path.parent).free / 1e6:,.0f} MB are free there)'
        text += (
            f'. Free space on the disk of {path.parent} (older checkpoints, predictions, caches), '
            'or raise the quota or file size limit, and run the same command again. Files that '
            'were there before are unchanged'
        )
    return StorageError(error.errno, text)


def write_atomically(path: Path, content: bytes | str) -> Path:
    """Writes `content` through `atomic_file`.

    Args:
        path: The file to make; its folder exists.
        content: Bytes, or text that is written as UTF-8.

    Returns:
        `path`.

    Raises:
        StorageError: It cannot be written, for instance on a full disk; names `path`.
    """
    with atomic_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)
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
            with suppress(FileNotFoundError):  # it has got its name in the meantime
                if ours and time.time() - one.stat().st_mtime > _ABANDONED:
                    Path(one.path).unlink()


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


def require_writable(path: str | Path) -> None:
    """Makes the folder of a file and checks that it can be written, before any work is done for it.

    Raises:
        ConfigError: It cannot; says why.
    """
    make_folder(Path(path).parent)
    if Path(path).is_dir():
        raise ConfigError(f'{path} is a folder; name a file')


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Makes the folder and writes the file whole or not at all."""
    path = Path(path)
    make_folder(path.parent)
    return write_atomically(path, content)


def write_text(path: str | Path, text: str) -> Path:
    """The same for text, in UTF-8; file names that are no text keep their bytes."""
    return write_bytes(path, text.encode('utf-8', errors='surrogateescape'))


def write_json(path: str | Path, content: Mapping[str, Any]) -> Path:
    """JSON with numbers as they are (`float` round-trips) and None as null."""
    return write_text(path, json.dumps(content, indent=2, allow_nan=False) + '\n')
