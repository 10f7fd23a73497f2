"""What can be told of a weight file before any of it is unpickled."""

import io
import json
import pickletools
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from dsr_nss.checkpoints.allowed_globals import is_allowed

ZIP_START = b'PK\x03\x04'
#: A safetensors file begins with the length of its JSON header in 8 bytes.
LENGTH_BYTES = 8
LONGEST_HEADER = 100 << 20
#: The pickled part of a checkpoint is small; its weights follow it.
PICKLE_BYTES = 64 << 20
#: How much of an entry is read at once to compare its checksum.
CHUNK = 1 << 20
#: Operations of a pickle that take so many items, or all down to a mark, and leave one in their
#: place; those of `_INTO` put them into the item below.
_CONSUMED = {
    'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3, 'REDUCE': 2, 'NEWOBJ': 2, 'BUILD': 1, 'APPEND': 1,
    'SETITEM': 2, 'BINPERSID': 1,
}  # fmt: skip
_TO_MARK = ('TUPLE', 'APPENDS', 'SETITEMS')
_INTO = ('BUILD', 'APPEND', 'SETITEM', 'APPENDS', 'SETITEMS')
_MARK = object()
#: Bytes of the three records at the end of a zip file.
_ENDS = 56 + 20 + 22


class _Item(NamedTuple):
    """What is on the stack of a pickle: its depth, and a text, a global or a tuple of them."""

    depth: int
    value: Any


def is_zip(path: Path) -> bool:
    """Whether it begins as what `torch.save` has written since torch 1.6."""
    with path.open('rb') as file:
        return file.read(len(ZIP_START)) == ZIP_START


def is_safetensors(path: Path) -> bool:
    """Whether it begins with a JSON header that fits into the file."""
    longest = min(path.stat().st_size - LENGTH_BYTES, LONGEST_HEADER)
    with path.open('rb') as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), 'little')
        if not 2 <= length <= longest or file.read(1) != b'{':
            return False
        file.seek(LENGTH_BYTES)
        try:
            return isinstance(json.loads(file.read(length)), dict)
        except ValueError:
            return False


def archive_problem(path: Path) -> str | None:
    """Why a zip file must not be read: cut off, larger inside than outside, or damaged.

    `torch.save` stores its entries uncompressed, so together they are smaller than the file. An
    entry that claims more is damaged, or made to fill the memory of whoever reads it. Every entry
    has a checksum, which torch does not compare when it reads.
    """
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            claimed = sum(entry.file_size for entry in entries)
            packed = [e.filename for e in entries if e.compress_type != zipfile.ZIP_STORED]
            if claimed > size:
                return (
                    f'claims to hold {claimed} bytes in a file of {size}: it is damaged, or made '
                    'to fill the memory; it was refused'
                )
            if any(entry.filename.endswith('/constants.pkl') for entry in entries):
                return (
                    'is a TorchScript archive, which is a program; it was refused. Where you trust '
                    'it: torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE)'
                )
            if packed:
                return (
                    f'holds a compressed entry ({packed[0]!r}), which torch never writes; it was '
                    'refused. Save it anew with torch.save'
                )
            with path.open('rb') as file:
                if _stated_directory(file, size) != archive.start_dir:
                    return 'has two lists of entries, or something behind its end; it was refused'
            damaged = _damaged_entry(archive)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return (
            f'is cut off ({size} bytes): its writing or download was interrupted; fetch it again '
            'or use an older one'
        )
    if damaged is None:
        return None
    return (
        f'is damaged: its entry {damaged!r} is not what was written (checksum, name or place); '
        'fetch or copy it again, or use an older one'
    )


def _stated_directory(file: BinaryIO, size: int) -> int | None:
    """Where the end of a zip file says that the list of its entries is: there torch reads it.

    Python's reader takes the list right before the end, wherever the end says that it is, so the
    entries that are checked need not be those that are used. None where the end is not at the end.
    """
    file.seek(-min(size, _ENDS), 2)
    end = file.read()
    if end[-22:-18] != b'PK\5\6':
        return None
    if end[-42:-38] != b'PK\6\7':
        return int.from_bytes(end[-6:-2], 'little')
    # beyond 4 GB there are two more records
    if end[:4] != b'PK\6\6' or int.from_bytes(end[-34:-26], 'little') != size - _ENDS:
        return None
    return int.from_bytes(end[48:56], 'little')


def _damaged_entry(archive: zipfile.ZipFile) -> str | None:
    """The first entry whose content has another CRC-32 than was written, or that is there twice."""
    seen = set()
    for entry in archive.infolist():
        try:
            if entry.filename in seen:
                return entry.filename
            seen.add(entry.filename)
            with archive.open(entry) as content:  # compares the names in its two headers
                while content.read(CHUNK):  # compares the checksum at the end
                    pass
        except Exception:  # damaged headers fail in any way
            return entry.filename
    return None


def foreign_globals(path: Path) -> list[str]:
    """Classes and functions that a pickle names and that reading does not allow.

    Nothing is executed; a pickle that cannot be followed to its end gives what was seen before.
    """
    found: dict[str, None] = {}
    for data in _pickles(path):
        stream = io.BytesIO(data)
        try:
            while stream.tell() < len(data):
                _collect(stream, found)
        except Exception:  # a damaged pickle: what was seen before its damage counts
            continue
    return [name for name in found if not is_allowed(name)]


def pickle_problem(path: Path, deepest: int) -> str | None:
    """Why a pickle must not be read, of what torch's reader would accept: what fills the memory or
    overruns the stack while it is read, before anything of its content could be looked at.

    Args:
        path: A torch file.
        deepest: How deep containers may be nested.
    """
    for data in _pickles(path):
        stream = io.BytesIO(data)
        try:
            # a file from before torch 1.6 begins with five pickles, and its weights follow
            for _ in range(5):
                if stream.tell() < len(data) and (problem := _excess(stream, deepest)):
                    return problem
        except Exception:  # a damaged one: torch's reader says so itself
            if len(data) == PICKLE_BYTES:
                return f'has a pickled part of more than {PICKLE_BYTES >> 20} MiB; it was refused'
    return None


def _excess(stream: io.BytesIO, deepest: int) -> str | None:
    """Follow one pickle, with the depth of each container on its stack and memo."""
    stack: list[_Item] = []
    memo: dict[Any, _Item] = {}
    for code, argument, _ in pickletools.genops(stream):
        name = code.name
        if name == 'GLOBAL':
            stack.append(_Item(0, str(argument).replace(' ', '.', 1)))
        elif name in ('BINPUT', 'LONG_BINPUT'):
            memo[argument] = stack[-1]
        elif name in ('BINGET', 'LONG_BINGET'):
            stack.append(memo[argument])
        elif name in _CONSUMED or name in _TO_MARK:
            start = len(stack) - _CONSUMED.get(name, 0)
            if name in _TO_MARK:
                while stack[start - 1].value is not _MARK:
                    start -= 1
            parts = stack[start:]
            del stack[start - (name in _TO_MARK) :]
            if name == 'REDUCE' and (problem := _call_problem(*parts)):
                return problem
            into = [stack.pop()] if name in _INTO else []
            depth = max([part.depth + 1 for part in parts] + [item.depth for item in into] + [0])
            stack.append(_Item(depth, tuple(p.value for p in parts) if 'TUPLE' in name else None))
            if depth > 2 * deepest:  # an object and the arguments that make it count as one
                return f'is nested more than {deepest} deep; it was refused'
        elif name not in ('PROTO', 'STOP'):
            stack.append(_Item(0, _MARK if name == 'MARK' else argument))
    return None


def _call_problem(function: _Item, arguments: _Item) -> str | None:
    """Why a call of what torch allows would fill the memory."""
    given = arguments.value
    known = isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str)
    if function.value == '_codecs.encode' and not (known and given[1] == 'latin1'):
        return 'encodes a text in a way that torch never does; it was refused'
    if function.value in ('builtins.bytearray', '__builtin__.bytearray'):
        return 'asks for memory without values (bytearray); it was refused'
    return None


def text_beginning(path: Path) -> str | None:
    """The first line of a text file (an error page, a pointer), None for anything else."""
    with path.open('rb') as file:
        start = file.read(200)
    try:
        text = start.decode('ascii')
    except UnicodeDecodeError:
        return None
    lines = text.strip().splitlines()
    return lines[0][:80] if lines and text.isprintable() | ('\n' in text) else None


def _pickles(path: Path) -> list[bytes]:
    if not is_zip(path):
        with path.open('rb') as file:
            return [file.read(PICKLE_BYTES)]
    try:
        with zipfile.ZipFile(path) as archive:
            return [archive.read(name) for name in archive.namelist() if name.endswith('.pkl')]
    except Exception:  # a damaged archive fails in any way; another message says so
        return []


def _collect(stream: io.BytesIO, found: dict[str, None]) -> None:
    """Follow one pickle; add the globals that it names."""
    strings: list[str] = []
    memo: dict[int, str] = {}
    for code, argument, _ in pickletools.genops(stream):
        if code.name in ('GLOBAL', 'INST'):
            found['.'.join(str(argument).split(' ', 1))] = None
        elif code.name == 'STACK_GLOBAL' and len(strings) >= 2:
            found[f'{strings[-2]}.{strings[-1]}'] = None
        elif code.name == 'MEMOIZE':
            memo[len(memo)] = strings[-1] if strings else ''
        elif code.name in ('BINGET', 'LONG_BINGET') and argument in memo:
            strings.append(memo[argument])
        elif isinstance(argument, str):
            strings.append(argument)
