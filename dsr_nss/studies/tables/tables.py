"""The paper's tables on each kind of data, and tables of one's own (docs/method.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsr_nss.engine.config import open_config
from dsr_nss.errors import ConfigError
from dsr_nss.studies.tables.rows import CONTENT, Row, row_on

#: What a table can be measured on, and how a heading calls it.
DATA = {'real': 'the real sets', 'nightscape': 'nightscape', 'camvid': 'CamVid'}
#: The paper's six, one of our own for what the paper leaves open, and one for encoders of today.
TABLES = tuple(CONTENT)
#: The paper numbers its tables so.
NUMERALS = {'1': 'I', '2': 'II', '3': 'III', '4': 'IV', '5': 'V', '6': 'VI'}
_ROW_FIELDS = {'name', 'label', 'config', 'overlays', 'options', 'group'}


@dataclass(frozen=True)
class Column:
    """A measured column: mIoU on one set.

    Attributes:
        test_set: Name in the config's `test_sets`.
        paper: Column of the paper's table (`paper_tables`).
        paper_set: The set that the paper's number is on, in words; it need not be `test_set`.
    """

    test_set: str
    paper: str = 'mIoU'
    paper_set: str = ''


@dataclass(frozen=True)
class Table:
    """A table on one kind of data.

    Attributes:
        name: One of `TABLES`, or the name of a file of rows.
        data: One of `DATA`.
        title: Title that says what the table compares.
        columns: Measured columns, the first is the one that counts.
        rows: Rows from top to bottom.
        notes: Remarks that a reader must know; printed under the table.
        by_class: Whether the IoU of each class is printed too.
        reference: Name of the row that differences are taken from; None: the row above.
        file: The file of a table of one's own, as the user named it; '' for the paper's.
    """

    name: str
    data: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    by_class: bool = False
    reference: str | None = None
    file: str = ''

    @property
    def file_stem(self) -> str:
        """`table3`, or the name."""
        return f'table{self.name}' if self.name in NUMERALS else self.name

    @property
    def heading(self) -> str:
        """`Table III on nightscape: ...`."""
        name = f'Table {NUMERALS[self.name]}' if self.name in NUMERALS else self.name.capitalize()
        return f'{name} on {DATA[self.data]}: {self.title}'

    def runnable(self) -> tuple[Row, ...]:
        """The rows that are trained here."""
        return tuple(row for row in self.rows if row.config is not None)


def table(name: str, data: str) -> Table:
    """One of `TABLES` on one of `DATA`.

    Raises:
        ConfigError: There is no such table, or it has no rows on this data.
    """
    if name not in TABLES:
        raise ConfigError(f'there is no table {name!r}; there are {", ".join(TABLES)}')
    if data not in DATA:
        raise ConfigError(f'unknown data {data!r}; choose from {", ".join(DATA)}')
    if name not in tables_on(data):
        known = ', '.join(tables_on(data))
        raise ConfigError(f'table {name} has no rows on {data}; there are tables {known}')
    title, rows, notes = CONTENT[name]
    return Table(
        name=name,
        data=data,
        title=title,
        columns=_columns(name, data),
        rows=tuple(found for row in rows if (found := row_on(data, row)) is not None),
        notes=notes if data == 'real' else (),
        by_class=name == '1',
        reference='dsr_hrda' if name == 'choices' else None,
    )


def tables_on(data: str) -> tuple[str, ...]:
    """Names of the tables that a kind of data has rows for."""
    if data == 'camvid':
        return ('1', '3', '6')
    return tuple(name for name in TABLES if data == 'real' or name != 'vfm')


def own_table(path: Path, data: str) -> Table:
    """A table of one's own from a Python file with `rows`, and `title` and `test_sets` if wanted.

    Each of its `rows` is the name of a row of the paper's tables, or a dict with `name` and
    `config` and, if wanted, `label`, `overlays`, `options` and `group`; see `Row`.

    Raises:
        FileNotFoundError: There is no such file.
        ConfigError: It has no rows, or one that means nothing.
    """
    content = open_config(path)
    known = {  # of a row in several tables the label of the first
        row.name: row for name in tables_on(data)[::-1] for row in table(name, data).runnable()
    }
    rows = [_own_row(entry, known, path) for entry in content.get('rows') or ()]
    names = [row.name for row in rows]
    if not rows or len(set(names)) < len(names):
        raise ConfigError(f'{path}: `rows` must be a list of rows with different names')
    sets = content.get('test_sets')
    return Table(
        name=path.stem,
        data=data,
        title=content.get('title', 'own rows'),
        columns=tuple(map(Column, sets)) if sets else _columns('', data),
        rows=tuple(rows),
        file=str(path),
    )


def _own_row(entry: Any, known: dict[str, Row], path: Path) -> Row:
    if isinstance(entry, str) and entry in known:
        return replace(known[entry], paper=None, group='')
    if not isinstance(entry, dict) or not {'name', 'config'} <= entry.keys() <= _ROW_FIELDS:
        raise ConfigError(
            f'{path}: {entry!r} is no row; a row is a name that --list has, or '
            f'dict(name=..., config=...) with any of {", ".join(sorted(_ROW_FIELDS))}'
        )
    name = entry['name']
    if name in known or '/' in name:
        raise ConfigError(f'{path}: the row {name!r} needs another name, the tables have it')
    options = dict(entry.get('options', {}))
    if any(isinstance(value, (dict, list)) for value in options.values()):
        raise ConfigError(f'{path}: an option of {name!r} is no number or word: use an overlay')
    return Row(
        name, '', entry.get('label') or name, group=entry.get('group', ''), config=entry['config'],
        overlays=tuple(entry.get('overlays', ())), options=tuple(options.items()),
    )  # fmt: skip


def choose_rows(tables: Sequence[Table], names: Sequence[str] | None) -> list[Table]:
    """The tables with only the chosen rows; None keeps all.

    Args:
        tables: Tables, each returned by `table` or `own_table`.
        names: Names of rows, or their numbers in the table as `--list` counts them, from 1.

    Raises:
        ConfigError: A name that no table has.
    """
    if names is None:
        return list(tables)
    found: set[str] = set()
    chosen = []
    for one in tables:
        keys = {row: {row.name, str(i)} for i, row in enumerate(one.runnable(), start=1)}
        found = found.union(*keys.values())
        rows = tuple(row for row in keys if keys[row] & set(names))
        chosen += [replace(one, rows=rows)] if rows else []
    unknown = [name for name in names if name not in found]
    if unknown:
        known = ', '.join(dict.fromkeys(row.name for t in tables for row in t.runnable()))
        raise ConfigError(f'there is no row {", ".join(unknown)}; the rows are {known}')
    return chosen


def _columns(name: str, data: str) -> tuple[Column, ...]:
    if name == '2':
        return (
            Column('nighttime_driving', 'nighttime_driving_test', 'Nighttime Driving test'),
            Column('dark_zurich_val', 'dark_zurich_val', 'Dark Zurich val'),
            Column('acdc_night_val', 'acdc_night_val', 'ACDC night val'),
        )
    if name == '6':
        day = 'camvid_day_val' if data == 'camvid' else 'cityscapes_val'
        return (Column(day, paper_set='Cityscapes val'),)
    night = 'camvid_dusk_val' if data == 'camvid' else 'dark_zurich_val'
    return (Column(night, paper_set='Dark Zurich test'),)
