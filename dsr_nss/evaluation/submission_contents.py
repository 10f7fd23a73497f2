"""What is wrong with an archive although each of its files is a good PNG of the right form."""

import re
import struct
import zipfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from dsr_nss.classes import IGNORE_INDEX
from dsr_nss.evaluation.submission_formats import Part

#: A local header up to the lengths of name and extra field, and its signature.
_LOCAL = struct.Struct('<4s2xHHxxxxIIIHH')
_LOCAL_SIGNATURE = b'PK\x03\x04'
#: Sizes and checksum follow the content, in at most this many bytes.
_SIZES_FOLLOW, _DESCRIPTOR = 0x8, 24
#: The size stands in an extra field (zip64).
_ELSEWHERE = 0xFFFFFFFF


class FrameContents:
    """The parts of one image after the other, compared with each other; call in order of images."""

    def __init__(self) -> None:
        self._frame: str | None = None
        self._seen: dict[str, tuple[str, np.ndarray]] = {}

    def add(self, frame: str, part: Part, name: str, pixels: np.ndarray) -> Iterator[str]:
        """What is wrong with the values of a part of an image.

        Args:
            frame: Identifies the image.
            part: Which part it is.
            name: Name of the file.
            pixels: `(H, W)`, its values.
        """
        if frame != self._frame:
            self._frame, self._seen = frame, {}
        self._seen[part.content] = (name, pixels)
        if part.content == 'abstaining' and (pixels == IGNORE_INDEX).all():
            yield f'{name}: every pixel is {IGNORE_INDEX}, so nothing is predicted'
        if part.content == 'confidence' and not pixels.any():
            yield f'{name}: every confidence is 0, so no threshold leaves a prediction'
        if part.content != 'confidence' and {'labels', 'abstaining'} <= self._seen.keys():
            yield from self._contradiction()

    def _contradiction(self) -> Iterator[str]:
        (labels_name, labels), (name, abstaining) = (
            self._seen[content] for content in ('labels', 'abstaining')
        )
        if labels.shape != abstaining.shape:
            return  # their sizes are reported
        other = (abstaining != IGNORE_INDEX) & (abstaining != labels)
        if other.any():
            row, column = np.argwhere(other)[0]
            yield (
                f'{name}: {int(other.sum())} pixels are of another class than in {labels_name}, '
                f'the first in row {row}, column {column} ({abstaining[row, column]} and '
                f'{labels[row, column]})'
            )


def is_unsafe(name: str) -> bool:
    """Whether a name in an archive leads out of the folder that it is unpacked to, or hides."""
    folders = name.removesuffix('/').split('/')
    return (
        bool({'', '.', '..'} & set(folders))
        or bool(re.match('[A-Za-z]:', name))
        or '\\' in name
        or not name.isprintable()
    )


def names_of_both_kinds(names: Iterable[str]) -> Iterator[str]:
    """Names that are a file and a folder at once, which no disk can hold."""
    names = list(names)
    files = {name for name in names if not name.endswith('/')}
    folders = {
        '/'.join(parts[:depth])
        for parts in (name.split('/') for name in names)
        for depth in range(1, len(parts))
    }
    for name in sorted(files & folders):
        yield f'{name}: a file and a folder of the same name'


def directory_lies(file: BinaryIO, archive: zipfile.ZipFile) -> Iterator[str]:
    """Where the list at the end of a zip archive does not tell what lies before it.

    Programs that read an archive from its beginning would see other files than those that use the
    list.

    Args:
        file: The archive, open for reading.
        archive: The same, with its list.
    """
    entries = sorted(archive.infolist(), key=lambda info: info.header_offset)
    end, before = 0, 'the beginning'
    for info in entries:
        name = info.orig_filename
        if info.header_offset < end:
            yield f'{name}: overlaps with {before}'
        elif info.header_offset > end + _DESCRIPTOR:
            yield f'{info.header_offset - end} bytes between {before} and {name} are in no entry'
        file.seek(info.header_offset)
        header = file.read(_LOCAL.size)
        if len(header) < _LOCAL.size or header[:4] != _LOCAL_SIGNATURE:
            yield f'{name}: nothing begins where the list says'
            return
        _, flags, method, crc, packed, size, name_length, extra = _LOCAL.unpack(header)
        if file.read(name_length) != _raw_name(info):
            yield f'{name}: has another name before its content than in the list'
        says = [(method, info.compress_type)]
        if not flags & _SIZES_FOLLOW:
            says += [(crc, info.CRC), (packed, info.compress_size), (size, info.file_size)]
        if any(here not in (there, _ELSEWHERE) for here, there in says):
            yield f'{name}: size, checksum or packing before its content are not those in the list'
        end = info.header_offset + _LOCAL.size + name_length + extra + info.compress_size
        before = name
    if archive.start_dir > end + _DESCRIPTOR:
        yield f'{archive.start_dir - end} bytes between {before} and the list are in no entry'


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    return info.orig_filename.encode('utf-8' if info.flag_bits & 0x800 else 'cp437')


def ranges(values: list[int]) -> str:
    """`0-18, 255`."""
    parts: list[list[int]] = []
    for value in values:
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ', '.join(f'{p[0]}-{p[-1]}' if len(p) > 1 else f'{p[0]}' for p in parts)
