"""The published archives, unpacked into the root of their set.

What is taken is told by the places that the set has, not by the name of the archive: so an archive
of one condition, or one packed within a folder of its own, serves as well. Nothing is written
elsewhere, whatever the archive says.
"""

import stat
import zipfile
import zlib
from pathlib import Path

from dsr_nss.datasets.listed_files import listed_file
from dsr_nss.datasets.published import PUBLISHED
from dsr_nss.datasets.regular_files import MAX_BYTES, require_regular
from dsr_nss.errors import DataError
from dsr_nss.files import write_atomically

#: Folders that are needed beside images and labels.
_OTHERS = {'dark_zurich': ('corresp', 'gps'), 'bdd100k_night': ('labels/det_20',)}
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError)


def unpack_archives(name: str, root: Path) -> list[str]:
    """Unpacks every `*.zip` that lies in the root of a set; may be run again.

    Args:
        name: Key of `PUBLISHED`.
        root: Root of the set.

    Returns:
        A line for each archive. A file that is there with the size of the entry is kept.

    Raises:
        DataError: There is no archive, one is damaged, holds nothing of the set, or an entry that
            leads elsewhere, is a link, encrypted or larger than a file of a set can be.
    """
    archives = sorted(path for path in root.glob('*.zip')) if root.is_dir() else []
    if not archives:
        raise DataError(f'{PUBLISHED[name].title}: no *.zip lies in {root}; put the archives there')
    return [_unpack(archive, name, root) for archive in archives]


def _unpack(path: Path, name: str, root: Path) -> str:
    require_regular(path)
    written = kept = 0
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                place = _place(info.filename, name)
                if place is None or info.is_dir():
                    continue
                target = _target(path, info, root, place)
                if target.is_file() and target.stat().st_size == info.file_size:
                    kept += 1
                    continue
                content = archive.read(info)  # compares the CRC-32
                target.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(target, content)
                written += 1
    except _DAMAGED as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f'{path}: a damaged archive, or none ({error}); get it again') from None
    if not written + kept:
        raise DataError(f'{path}: holds no file of {PUBLISHED[name].title}; take it away')
    return f'{path.name}: {written} files unpacked, {kept} were there'


def _place(entry: str, name: str) -> str | None:
    """Path below the root; None for what the set does not have."""
    folders = [*(part.folder for part in PUBLISHED[name].parts), *_OTHERS.get(name, ())]
    parts = entry.replace('\\', '/').split('/')
    if '__MACOSX' in parts or parts[-1].startswith('._'):  # what macOS adds to an archive
        return None
    for start in range(len(parts)):
        below = '/'.join(parts[start:])
        if any(below.startswith(f'{folder}/') for folder in folders):
            return below
    return None


def _target(path: Path, info: zipfile.ZipInfo, root: Path, place: str) -> Path:
    where = f'{path}, {info.filename}'
    if '..' in Path(place).parts:
        raise DataError(f'{where}: leads out of its folder; get the archive from its publisher')
    if stat.S_ISLNK(info.external_attr >> 16):
        raise DataError(f'{where}: a link; get the archive from its publisher')
    if info.file_size > MAX_BYTES:
        raise DataError(f'{where}: {info.file_size / 1e9:.1f} GB, more than a file of the set has')
    return listed_file(root, place, where)
