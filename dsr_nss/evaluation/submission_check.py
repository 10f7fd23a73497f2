"""Checks an archive for a test server without unpacking it.

Servers allow few uploads and say little about what is wrong. Nothing is trusted: what an entry
claims to hold is compared with what its image can need before anything is read, and no image of
more than the expected number of pixels is decoded.
"""

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from dsr_nss.datasets import png
from dsr_nss.datasets.images import count_ids
from dsr_nss.datasets.orientation import orientation
from dsr_nss.errors import DataError
from dsr_nss.evaluation.submission_contents import (
    FrameContents,
    directory_lies,
    is_unsafe,
    names_of_both_kinds,
    ranges,
)
from dsr_nss.evaluation.submission_formats import (
    SUBMISSION_FORMATS,
    Part,
    SubmissionFormat,
    expected_images,
    submission_format,
)

Size = tuple[int, int]

#: Colour types of PNG.
_GREY, _COLOURS = 0, {2: 'RGB', 3: 'a palette', 4: 'grey and alpha', 6: 'RGB and alpha'}
#: Bytes that a PNG may have beyond its pixels: chunks, and blocks that deflate cannot shrink.
_PNG_EXTRA = 2**16
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
#: What zipfile, zlib and pillow raise for damaged files.
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, Image.DecompressionBombError,
    NotImplementedError, RuntimeError, OSError, SyntaxError, ValueError, EOFError, IndexError,
)  # fmt: skip
_JUNK = '__MACOSX/'


@dataclass(frozen=True)
class Problem:
    """Something that a server would stumble over.

    Attributes:
        what: Kind of problem: archive, path, folder, name, extra, duplicate, missing, count,
            damaged, png, size, channels, depth, ids or contents.
        text: Sentence that says where the problem is and what it is.
    """

    what: str
    text: str


@dataclass
class SubmissionCheck:
    """What is known of an archive.

    Attributes:
        format: Format that the archive was checked against; None if that could not be told.
        images: Number of images of which the archive has predictions.
        by_form: Whether names were only checked for their form, without the test images.
        problems: All problems that were found.
    """

    format: SubmissionFormat | None = None
    images: int = 0
    by_form: bool = True
    problems: list[Problem] = field(default_factory=list)

    def add(self, what: str, text: str) -> None:
        """Adds a problem."""
        self.problems.append(Problem(what, text))


def check_submission(
    path: str | Path,
    kind: str | SubmissionFormat | None = None,
    *,
    images: str | Path | Sequence[str | Path] | None = None,
) -> SubmissionCheck:
    """Checks an archive.

    Args:
        path: The archive.
        kind: One of `SUBMISSION_FORMATS`, or a format; None tells it from the names of the files.
        images: Folder of the test images, or several: their names and sizes are what is expected.
            None expects names of the right form, and the number and the size of the published set.

    Returns:
        What was found; nothing is wrong if it has no problems.

    Raises:
        FileNotFoundError: There is no such archive, or no folder `images`.
        DataError: `path` is a folder; an image in `images` cannot be read or has a name of another
            set.
        ValueError: Unknown kind.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f'{path}: no such file')
    if path.is_dir():
        raise DataError(f'{path} is a folder; name the zip archive')
    check = SubmissionCheck(None if kind is None else submission_format(kind))
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGED as error:
        check.add('archive', f'{path.name}: not a zip archive, or a damaged one ({error})')
        return check
    with archive, path.open('rb') as file:
        try:
            for text in directory_lies(file, archive):
                check.add('archive', text)
        except _DAMAGED as error:
            check.add('archive', f'{path.name}: its list is damaged ({error})')
        _Checker(archive, check, images).run()
    return check


def detect_format(names: list[str]) -> SubmissionFormat | None:
    """The format that names of files in an archive look like, wrong ones too.

    `confidence` or `labelTrainIds_invalid` are Dark Zurich's alone. Without them frames of a GoPro
    are Dark Zurich's if there are as many as its test images, else ACDC's.
    """
    dark_zurich, acdc = SUBMISSION_FORMATS['dark_zurich'], SUBMISSION_FORMATS['acdc']
    folders = {folder for name in names for folder in name.split('/')[:-1]}
    files = {name.rpartition('/')[2] for name in names}
    frames = {match[0] for file in files if (match := re.match(acdc.frame, file))}
    if folders & {part.folder for part in dark_zurich.parts if part not in acdc.parts}:
        return dark_zurich
    if frames:
        return dark_zurich if len(frames) in dark_zurich.counts else acdc
    cityscapes = SUBMISSION_FORMATS['cityscapes']
    if any(re.match(cityscapes.frame, file) for file in files):
        return cityscapes
    return acdc if folders & {part.folder for part in acdc.parts} else None


def _is_turned(data: bytes) -> bool:
    """Whether viewers would turn a PNG; servers take pixels as they are stored."""
    try:
        return orientation(png.header(data).exif) != 1
    except (EOFError, ValueError):
        return False  # damaged: decoding it says so


class _Checker:
    """One run over one archive."""

    def __init__(
        self,
        archive: zipfile.ZipFile,
        check: SubmissionCheck,
        images: str | Path | Sequence[str | Path] | None,
    ) -> None:
        self.archive = archive
        self.check = check
        self.images: list[str | Path] = (
            [images] if isinstance(images, (str, Path)) else list(images or ())
        )
        self.expected: dict[str, Size] | None = None
        self._contents = FrameContents()

    def run(self) -> None:
        """Names first: they decide which contents are looked at."""
        entries = list(self._safe_entries())
        for text in names_of_both_kinds(name for name, _ in entries):
            self.check.add('path', text)
        names = [name for name, info in entries if not info.is_dir()]
        self.check.format = self.check.format or detect_format(names)
        if self.check.format is None:
            known = ', '.join(SUBMISSION_FORMATS)
            self.check.add(
                'archive',
                f'the names of the {len(names)} files are of no known server; tell which it is for '
                f'({known})',
            )
            return
        self.format = self.check.format
        if self.images:
            self.expected = expected_images(self.images, self.format)
            self.check.by_form = False
        found = self._place(self._without_wrapper(entries))
        self.check.images = len({frame for frames in found.values() for frame in frames})
        self._check_frames(found)
        readable = [
            (frame, part, info)
            for part, frames in found.items()
            for frame, info in self._worth_reading(part, frames)
        ]
        readable.sort(key=lambda one: one[0])  # the parts of an image are compared
        for frame, part, info in tqdm(readable, unit='file', disable=None):
            pixels = self._check_content(part, info, self._size_of(frame))
            if pixels is not None:
                for text in self._contents.add(frame, part, info.filename, pixels):
                    self.check.add('contents', text)

    def _safe_entries(self) -> Iterator[tuple[str, zipfile.ZipInfo]]:
        seen = set()
        for info in self.archive.infolist():
            name = info.orig_filename  # `filename` ends at a zero byte
            if is_unsafe(name):
                self.check.add('path', f'{name!r}: an absolute path, or one that leads elsewhere')
            elif stat.S_ISLNK(info.external_attr >> 16):
                self.check.add('path', f'{name}: a symbolic link')
            elif name in seen:
                self.check.add('duplicate', f'{name}: several entries of this name')
            else:
                seen.add(name)
                yield name, info

    def _without_wrapper(
        self, entries: list[tuple[str, zipfile.ZipInfo]]
    ) -> list[tuple[str, zipfile.ZipInfo]]:
        """Takes away a folder around everything, so that what it holds can be checked too."""
        files = [name for name, info in entries if not info.is_dir() and _JUNK not in name]
        tops = {name.partition('/')[0] if '/' in name else '' for name in files}
        wrapper = tops.pop() if len(tops) == 1 else ''
        if self.format.free_names or not wrapper or self._part_of(wrapper):
            return entries
        self.check.add(
            'folder',
            f'everything lies in a folder {wrapper}/: pack '
            + ', '.join(f'{part.folder}/' for part in self.format.parts)
            + ' itself at the top of the archive',
        )
        stripped = [(name.removeprefix(f'{wrapper}/'), info) for name, info in entries]
        return [(name, info) for name, info in stripped if name]

    def _part_of(self, folder: str) -> Part | None:
        """The part that a folder belongs to, itself or one of its parents."""
        for part in self.format.parts:
            if not part.folder or f'{folder}/'.startswith(f'{part.folder}/'):
                return part
        return None

    def _place(
        self, entries: list[tuple[str, zipfile.ZipInfo]]
    ) -> dict[Part, dict[str, zipfile.ZipInfo]]:
        """The entry of each image in each part, whatever else is wrong with its name."""
        found: dict[Part, dict[str, zipfile.ZipInfo]] = {part: {} for part in self.format.parts}
        for name, info in entries:
            folder, _, file = name.rpartition('/')
            part = self._part_of(folder)
            if info.is_dir():
                if part is None:
                    self.check.add('extra', f'{name}: a folder that the server does not expect')
                continue
            match = re.match(rf'({self.format.frame})(?!\d).*\.png$', file)
            if part is None or match is None:
                self.check.add('extra', f'{name}: not one of the files that the server expects')
                continue
            if match[1] in found[part]:
                other = found[part][match[1]].filename
                self.check.add('duplicate', f'{name} and {other} are predictions of the same image')
                continue
            found[part][match[1]] = info
            right = self.format.path(part, match[1])
            if name != right and not self.format.free_names:
                self.check.add('name', f'{name}: should be {right}')
        return found

    def _check_frames(self, found: Mapping[Part, Mapping[str, zipfile.ZipInfo]]) -> None:
        """Missing, unknown and too many images."""
        every = {frame for frames in found.values() for frame in frames}
        wanted = every if self.expected is None else set(self.expected)
        for part, frames in found.items():
            folder = f'{part.folder}/' if part.folder else 'the archive'
            if not frames:
                self.check.add('folder', f'{folder} holds no prediction')
                continue
            for frame in sorted(wanted - set(frames)):
                self.check.add('missing', f'{self.format.path(part, frame)} is missing')
            places = ', '.join(map(str, self.images))
            for frame in sorted(set(frames) - wanted):
                name = frames[frame].filename
                self.check.add('extra', f'{name}: there is no such image in {places}')
        if self.expected is None and len(every) not in self.format.counts:
            counts = ' or '.join(map(str, self.format.counts))
            self.check.add('count', f'predictions of {len(every)} images, not of {counts}')

    def _size_of(self, frame: str) -> Size:
        return self.format.size if self.expected is None else self.expected[frame]

    def _worth_reading(
        self, part: Part, frames: Mapping[str, zipfile.ZipInfo]
    ) -> list[tuple[str, zipfile.ZipInfo]]:
        """Entries of expected images; at most as many as the server expects."""
        if self.expected is not None:
            return [(frame, info) for frame, info in frames.items() if frame in self.expected]
        most = max(self.format.counts)
        if len(frames) > most:
            self.check.add(
                'count', f'{part.folder or "the archive"}: only {most} of the files were opened'
            )
        return list(frames.items())[:most]

    def _check_content(self, part: Part, info: zipfile.ZipInfo, size: Size) -> np.ndarray | None:
        """The pixels of a file that has the right form."""
        data = self._read(part, info, size)
        if data is None:
            return None
        name = info.filename
        if not data.startswith(png.SIGNATURE) or len(data) < 33:
            self.check.add('png', f'{name}: not a PNG file')
            return None
        width, height, bits, colour = struct.unpack('>IIBB', data[16:26])
        if (height, width) != size:
            sizes = [f'{h}x{w}' for h, w in ((height, width), size)]
            self.check.add('size', f'{name}: {sizes[0]} pixels (height x width), not {sizes[1]}')
        if _is_turned(data):
            self.check.add('png', f'{name}: has an EXIF orientation; store it upright, without one')
        if colour != _GREY:
            channels = _COLOURS.get(colour, f'colour type {colour}')
            self.check.add('channels', f'{name}: {channels} instead of a single channel')
        elif bits != part.bits:
            self.check.add('depth', f'{name}: {bits} bits a pixel, not {part.bits}')
        if width * height > size[0] * size[1]:
            return None
        try:
            with Image.open(io.BytesIO(data), formats=['PNG']) as image:
                image.verify()  # loading alone overlooks a missing end
            with Image.open(io.BytesIO(data), formats=['PNG']) as image:
                image.load()
        except _DAMAGED as error:
            self.check.add('damaged', f'{name}: cannot be decoded ({error})')
            return None
        if colour != _GREY or bits != part.bits:
            return None
        pixels = np.asarray(image)
        self._check_values(part, name, pixels)
        return pixels

    def _read(self, part: Part, info: zipfile.ZipInfo, size: Size) -> bytes | None:
        """The bytes of an entry; None, with a problem, if they cannot be had."""
        name = info.filename
        if info.flag_bits & _ENCRYPTED:
            self.check.add('archive', f'{name}: encrypted')
            return None
        if info.compress_type not in _COMPRESSIONS:
            self.check.add('archive', f'{name}: neither stored nor deflated; pack it as plain zip')
            return None
        # four channels of 16 bits are wrong, but they are to be named as such
        most = size[0] * (size[1] * 8 + 1) + _PNG_EXTRA
        if info.file_size > most:
            self.check.add(
                'size',
                f'{name}: {info.file_size} bytes, more than a PNG of {size[0]}x{size[1]} has',
            )
            return None
        try:
            with self.archive.open(info) as file:
                return file.read(most)
        except _DAMAGED as error:
            self.check.add('damaged', f'{name}: cannot be read ({error})')
            return None

    def _check_values(self, part: Part, name: str, pixels: np.ndarray) -> None:
        allowed = self.format.allowed_values(part)
        if allowed is None:
            return
        wrong = [int(value) for value in np.flatnonzero(count_ids(pixels)) if value not in allowed]
        if wrong:
            self.check.add('ids', f'{name}: holds {wrong}; allowed are {ranges(sorted(allowed))}')
