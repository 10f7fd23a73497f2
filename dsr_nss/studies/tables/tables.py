"""The paper's tables on each kind of data, and the config of each row (docs/method.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dsr_nss.errors import ConfigError
from dsr_nss.studies.tables.rows import CONTENT, Row

#: What a table can be measured on.
DATA = ('real', 'nightscape', 'camvid')
#: The paper's six, and one of our own for what the paper leaves open.
TABLES = ('1', '2', '3', '4', '5', '6', 'choices')
#: The paper numbers its tables so.
NUMERALS = {'1': 'I', '2': 'II', '3': 'III', '4': 'IV', '5': 'V', '6': 'VI'}


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
        name: One of `TABLES`.
        data: One of `DATA`.
        title: Title that says what the table compares.
        columns: Measured columns, the first is the one that counts.
        rows: Rows from top to bottom.
        notes: Remarks that a reader must know; printed under the table.
        by_class: Whether the IoU of each class is printed too.
        reference: Name of the row that differences are taken from; None: the row above.
    """

    name: str
    data: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())
    by_class: bool = False
    reference: str | None = None

    @property
    def file_stem(self) -> str:
        """`table3`, or `choices`."""
        return f'table{self.name}' if self.name in NUMERALS else self.name

    @property
    def heading(self) -> str:
        """`Table III on nightscape: ...`."""
        number = f'Table {NUMERALS[self.name]}' if self.name in NUMERALS else 'Choices'
        return f'{number} on {_DATA_TITLES[self.data]}: {self.title}'

    def runnable(self) -> tuple[Row, ...]:
        """The rows that are trained here."""
        return tuple(row for row in self.rows if row.config is not None)


_DATA_TITLES = {'real': 'the real sets', 'nightscape': 'nightscape', 'camvid': 'CamVid'}

#: What is trained on the small sets; on the real ones there is everything.
_SMALL_SETS: dict[str, dict[str, set[str] | None]] = {
    'nightscape': {
        'hrda': None,  # everything
        'daformer': {'source_only', 'classmix', 'dsr'},
        'deeplabv2': {'source_only', 'dsr'},
        'refinenet': {'source_only', 'dsr'},
    },
    'camvid': {
        'hrda': {
            'source_only',
            'source_only_augmented',
            'classmix',
            'composite_mask',
            'bank',
            'dsr',
        },
        'deeplabv2': {'source_only', 'dsr'},
        'refinenet': {'source_only', 'dsr'},
    },
}

_MAIN_SET = {
    'real': 'dark_zurich_val', 'nightscape': 'dark_zurich_val', 'camvid': 'camvid_dusk_val',
}  # fmt: skip


def table(name: str, data: str) -> Table:
    """One table.

    Args:
        name: One of `TABLES`.
        data: One of `DATA`.

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
    kept = [_on(data, row) for row in rows]
    return Table(
        name=name,
        data=data,
        title=title,
        columns=_columns(name, data),
        rows=tuple(row for row in kept if row is not None),
        notes=notes if data == 'real' else (),
        by_class=name == '1',
        reference='dsr_hrda' if name == 'choices' else None,
    )


def tables_on(data: str) -> tuple[str, ...]:
    """Names of the tables that a kind of data has rows for."""
    return ('1', '3', '6') if data == 'camvid' else TABLES


def choose_rows(tables: Sequence[Table], names: Sequence[str] | None) -> list[Table]:
    """The tables with only the chosen rows; None keeps all.

    Args:
        tables: Tables, each returned by `table`.
        names: Names of rows, or their numbers in the table as `--list` counts them, from 1.

    Raises:
        ConfigError: A name that no table has.
    """
    if names is None:
        return list(tables)
    chosen = [
        replace(
            table,
            rows=tuple(
                row
                for number, row in enumerate(table.runnable(), start=1)
                if row.name in names or str(number) in names
            ),
        )
        for table in tables
    ]
    found = {
        key
        for table in tables
        for number, row in enumerate(table.runnable(), start=1)
        for key in (row.name, str(number))
    }
    unknown = [name for name in names if name not in found]
    if unknown:
        known = ', '.join(dict.fromkeys(row.name for t in tables for row in t.runnable()))
        raise ConfigError(f'there is no row {", ".join(unknown)}; the rows are {known}')
    return [table for table in chosen if table.rows]


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
    return (Column(_MAIN_SET[data], paper_set='Dark Zurich test'),)


def _on(data: str, row: Row) -> Row | None:
    """The row with its config; None if it is not part of this data's table."""
    if not row.variant:
        return row if data == 'real' else None
    if data == 'real':
        row = replace(row, config=_real_config(row))
        if row.network == 'hrda' and row.variant.startswith('source_only'):
            # the adapted ones start from other weights: no difference is taken across the two
            row = replace(row, label=f'{row.label} (ImageNet start)', group='hrda from ImageNet')
        return row
    networks = _SMALL_SETS[data]
    variants = networks.get(row.network, set())
    if row.variant == 'acdc' or (variants is not None and row.variant not in variants):
        return None
    return replace(row, config=_small_config(data, row))


def _real_config(row: Row) -> str:
    folder = 'configs' if row.variant in ('source_only', 'dsr', 'acdc') else 'configs/ablations'
    target = 'cityscapes' if row.variant.startswith('source_only') else 'darkzurich'
    if row.variant == 'acdc':
        return f'{folder}/dsr_{row.network}_acdc.py'
    return f'{folder}/{row.name}_{target}.py'


def _small_config(data: str, row: Row) -> str:
    basic = ('source_only', 'source_only_augmented', 'classmix', 'dsr')
    if data == 'camvid':
        folder = 'configs/camvid' if row.variant in basic else 'configs/ablations/camvid'
        stem = row.variant if row.network == 'hrda' else row.name  # HRDA's configs do not name it
        return f'{folder}/{stem}_camviddusk.py'
    demo = row.variant in basic and row.network != 'daformer'
    return f'configs/{"demo" if demo else "ablations/nightscape"}/{row.name}_nightscape.py'
