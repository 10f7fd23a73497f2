"""Lists of files: the text of one, and what its entries name, which must lie below its root."""

import codecs
import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path

from dsr_nss.datasets.regular_files import read_bytes
from dsr_nss.errors import DataError

#: Byte order mark -> encoding. Editors and spreadsheets of Windows write them.
_MARKS = {
    codecs.BOM_UTF8: 'utf-8-sig',
    codecs.BOM_UTF16_LE: 'utf-16',
    codecs.BOM_UTF16_BE: 'utf-16',
}


def read_text(path: Path) -> str:
    """The text of a list: UTF-8, or with a byte order mark UTF-16, with any line ends.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is no text.
    """
    data = read_bytes(path)
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), 'utf-8')
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f'{path}: no text in {encoding} ({error}); save it as UTF-8') from None
    if '\0' in text:
        raise DataError(f'{path}: binary, or UTF-16 without a byte order mark; save it as UTF-8')
    return text.replace('\r\n', '\n').replace('\r', '\n')


def read_table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns of a CSV file, and of each row the number of its line and its cells by column.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is no text.
    """
    text = read_text(path)
    # a cell may hold thousands of points, and Python refuses more than 131,072 characters
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.DictReader(io.StringIO(text))
    return list(reader.fieldnames or ()), [(reader.line_num, row) for row in reader]


def require_once(lines: Iterable[tuple[int, object]], path: Path, what: str) -> None:
    """Raises `DataError` where two lines of a list say the same.

    Args:
        lines: Number of each line and what it says.
        path: The list.
        what: What the entry is, for the message.
    """
    seen: dict[object, int] = {}
    for number, entry in lines:
        if entry in seen:
            raise DataError(
                f'{path}: lines {seen[entry]} and {number} name the same {what} ({entry}); keep one'
            )
        seen[entry] = number


def listed_file(root: Path, name: object, where: str) -> Path:
    """The file of an entry.

    A list may come from anywhere, and what it names is read and may be shown, copied into a report
    or kept in a cache. Links below the root are the user's own and are followed.

    Args:
        root: What the names of the list are relative to.
        name: The entry; an absolute name is one of a file below the root too, or refused. Of a list
            that was written on Windows backslashes stand for slashes.
        where: The list and the line, for the message.

    Raises:
        DataError: The entry is no file name, or one of a file elsewhere.
    """
    if not isinstance(name, str) or not name.isprintable():
        raise DataError(f'{where}: {name!r:.100} is no file name')
    if '\\' in name and not os.path.exists(root / name):
        name = name.replace('\\', '/')
    path = root / name
    inside, found = os.path.abspath(root), os.path.abspath(path)
    if os.path.commonpath([inside, found]) != inside:
        raise DataError(
            f'{where}: {name:.200} lies outside of {root}; a list names files below its root only'
        )
    return path
