"""A cache of decoded and resized pixels: a file an image, mapped into memory instead of decoded.

`tools/prepare_data.py --cache CONFIG` writes it, `SourceTargetDataset(cache=FOLDER)` reads it. An
entry is a page with a JSON header and then uint8 pixels, `(3, H, W)` of an image or `(H, W)` of a
label: a crop touches only the pages that it lies in, and its planes are copied row by row.
"""

import hashlib
import json
import mmap
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dsr_nss.commands import call
from dsr_nss.datasets.pixels import DecodedFiles, PixelFile, Pixels, Size, decoded_by
from dsr_nss.errors import DataError
from dsr_nss.files import write_atomically

#: Bytes before the pixels: a page, so that the pixels start on one.
HEADER = 4096
_FORMAT = 2
#: Bytes of a file's name to which an entry can add its suffix; file systems allow 255.
_LONGEST = 250
_REPAIR = f'run `{call("prepare_data")} --cache CONFIG` with the config of the run'


@dataclass(frozen=True)
class Header:
    """What an entry says of itself.

    Attributes:
        format: Version of the layout.
        source_bytes: Size of the image file when the entry was written.
        source_mtime_ns: The time of its last change.
        native: (height, width) of the image file.
        shape: Shape of the array of pixels.
        decoded_by: Library whose version can change the pixels, from `pixels.decoded_by`; '' if
            none can.
        sha256: SHA-256 of the pixels.
    """

    format: int
    source_bytes: int
    source_mtime_ns: int
    native: Size
    shape: tuple[int, ...]
    decoded_by: str
    sha256: str

    @property
    def file_bytes(self) -> int:
        """Size that the entry must have."""
        return HEADER + int(np.prod(self.shape))


def entry_path(folder: Path, file: PixelFile) -> Path:
    """The entry of a file: below the folder of its size, under the file's own path."""
    kind = 'labels' if file.is_label else 'images'
    size = 'native' if file.size is None else f'{file.size[0]}x{file.size[1]}'
    path = Path(os.path.normpath(file.path))
    parts = ['up' if part == '..' else part for part in path.parts if part != path.anchor]
    base = folder / size / kind / ('absolute' if path.is_absolute() else 'relative')
    name = parts[-1]
    if len(name.encode(errors='surrogateescape')) > _LONGEST:
        digest = hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()
        name = f'{name[:40]}.{digest}'
    return base.joinpath(*parts[:-1], f'{name}.u8')


def write_entry(folder: Path, file: PixelFile) -> None:
    """Decodes a file and writes its entry, whole or not at all.

    Raises:
        DataError: The file cannot be used.
        OSError: The entry cannot be written.
    """
    status = os.stat(file.path)  # before reading: a change in the meantime makes the entry stale
    pixels = DecodedFiles().read(file)
    stored = pixels.array if file.is_label else pixels.array.transpose(2, 0, 1)
    data = stored.tobytes()
    header = Header(
        format=_FORMAT,
        source_bytes=status.st_size,
        source_mtime_ns=status.st_mtime_ns,
        native=pixels.native,
        shape=stored.shape,
        decoded_by=decoded_by(file),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    path = entry_path(folder, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(header)).encode().ljust(HEADER) + data)


def problem(folder: Path, file: PixelFile) -> str | None:
    """What is wrong with an entry as far as its header, its size and the image file tell.

    Returns:
        None for a good entry, else `'missing'`, `'damaged'` or `'out of date'`.

    Raises:
        FileNotFoundError: The image file is gone.
    """
    path = entry_path(folder, file)
    try:
        with open(path, 'rb') as entry:
            header = _parse(entry.read(HEADER))
            size = os.fstat(entry.fileno()).st_size
    except FileNotFoundError:
        return 'missing'
    except ValueError:
        return 'damaged'
    if size != header.file_bytes:
        return 'damaged'
    status = os.stat(file.path)
    told = (header.format, header.source_bytes, header.source_mtime_ns, header.decoded_by)
    if told != (_FORMAT, status.st_size, status.st_mtime_ns, decoded_by(file)):
        return 'out of date'
    return None


def is_intact(folder: Path, file: PixelFile) -> bool:
    """Whether the pixels of an entry without a `problem` are those that were written."""
    return _matches(*_map(entry_path(folder, file)))


class CachedFiles:
    """Gives pixels out of a cache. A `PixelSource`.

    The hash of an entry is compared when a process reads the entry for the first time.

    Args:
        folder: The cache.
        files: All files that will be read.

    Raises:
        DataError: The cache lacks entries, or has entries of files that changed since.
    """

    def __init__(self, folder: str | Path, files: Sequence[PixelFile]) -> None:
        self.folder = Path(folder)
        self._intact: set[Path] = set()
        bad: dict[str, list[str]] = {}
        for file in files:
            found = problem(self.folder, file)
            if found is not None:
                bad.setdefault(found, []).append(file.path)
        if bad:
            counts = ', '.join(
                f'{len(paths)} {found} (first: {paths[0]})' for found, paths in sorted(bad.items())
            )
            raise DataError(
                f'the cache {folder} cannot be used: of {len(files)} entries {counts}. To complete '
                f'it {_REPAIR}; to train without it leave out the field `cache`'
            )

    def read(self, file: PixelFile) -> Pixels:
        """See `PixelSource`; the array is read-only."""
        path = entry_path(self.folder, file)
        try:
            header, pixels = _map(path)
        except FileNotFoundError:
            raise DataError(f'{path}: the entry has vanished from the cache; {_REPAIR}') from None
        except ValueError:
            raise _damaged(path) from None
        if path not in self._intact:
            if not _matches(header, pixels):
                raise _damaged(path)
            self._intact.add(path)
        return Pixels(pixels if file.is_label else pixels.transpose(1, 2, 0), header.native)


def _damaged(path: Path) -> DataError:
    return DataError(f'{path}: the cache entry is damaged; to write it anew {_REPAIR}')


def _parse(data: bytes) -> Header:
    """Raises `ValueError` for anything but a header."""
    try:
        fields = json.loads(data)
        fields['native'], fields['shape'] = tuple(fields['native']), tuple(fields['shape'])
        return Header(**fields)
    except (TypeError, KeyError) as error:
        raise ValueError(str(error)) from error


def _map(path: Path) -> tuple[Header, np.ndarray]:
    """Header and pixels of an entry. The pages go when the array goes."""
    with open(path, 'rb') as entry:
        if not os.fstat(entry.fileno()).st_size:
            raise ValueError('empty')
        view = mmap.mmap(entry.fileno(), 0, access=mmap.ACCESS_READ)
    header = _parse(view[:HEADER])
    if len(view) != header.file_bytes:
        raise ValueError('incomplete')
    return header, np.frombuffer(view, np.uint8, offset=HEADER).reshape(header.shape)


def _matches(header: Header, pixels: np.ndarray) -> bool:
    return hashlib.sha256(pixels.data).hexdigest() == header.sha256
