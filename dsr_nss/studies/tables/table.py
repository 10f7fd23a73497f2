"""What a table is: rows that are trained, and columns that are measured of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dsr_nss.errors import ConfigError

#: How a column calls statistics of batch norms, where a table has several.
NORM_TITLES = {'plain': 'as trained', 'adabn': 'AdaBN', 'precise': 'PreciseBN'}


@dataclass(frozen=True)
class Row:
    """A row of a table: a config and what differs from it.

    Attributes:
        name: How the command line calls it; '' for another work's row, which is printed only.
        label: What the table prints.
        paper: Row of the paper's table, or None.
        group: A difference from the row above is taken within a group.
        config: Config file; None for another work's row.
        overlays: Files after `--with`.
        options: `--cfg-options`: dotted keys and values.
        folders: Seed and folder of runs that are there already; () for a row that is trained.
    """

    name: str
    label: str
    paper: str | None = None
    group: str = ''
    config: str | None = None
    overlays: tuple[str, ...] = ()
    options: tuple[tuple[str, object], ...] = ()
    folders: tuple[tuple[int, str], ...] = ()

    def command(self, tool: str, *arguments: str) -> list[str]:
        """What a tool is given for it, after `python`, with any further arguments."""
        options = [f'{key}={value!r}' for key, value in self.options]
        overlays = ('--with', *self.overlays) if self.overlays else ()
        changes = ('--cfg-options', *options) if options else ()
        return [f'tools/{tool}.py', str(self.config), *arguments, *overlays, *changes]


@dataclass(frozen=True)
class Column:
    """A measured column: mIoU on one set.

    Attributes:
        test_set: Name in the config's `test_sets`.
        batch_norms: Statistics of the batch norms, one of `BATCH_NORMS`.
        paper_set: The set that the paper's number is on, in words; it need not be `test_set`.
        detailed: Whether its tests leave a report, with recall of small objects, and predictions.
        of: `nightscape` where the set is drawn, which has the name of the real one; else ''.
    """

    test_set: str
    batch_norms: str = 'plain'
    paper_set: str = ''
    detailed: bool = False
    of: str = ''

    @property
    def key(self) -> str:
        """`dark_zurich_val`, or `dark_zurich_val-adabn`: what files and columns are called."""
        return self.test_set + f'-{self.batch_norms}' * (self.batch_norms != 'plain')

    @property
    def set_title(self) -> str:
        """`dark_zurich_val`, or `nightscape dark_zurich_val`."""
        return f'{self.of} {self.test_set}'.strip()

    @property
    def title(self) -> str:
        """`dark_zurich_val`, or `dark_zurich_val, AdaBN`."""
        norms = NORM_TITLES[self.batch_norms]
        return self.set_title + f', {norms}' * (self.batch_norms != 'plain')


def column_titles(columns: Sequence[Column]) -> list[str]:
    """What stands at each column: of several statistics on one set the statistics alone."""
    if len(columns) > 1 and len({column.test_set for column in columns}) == 1:
        return [NORM_TITLES[column.batch_norms] for column in columns]
    return [column.title for column in columns]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: The paper's number, or a name.
        data: What it is measured on, one of `DATA`; '' for whatever its configs say.
        heading: What stands above it.
        columns: Measured columns, the first is the one that counts.
        rows: Rows from top to bottom.
        command: The command line that makes it, without what is in `Settings`.
        notes: Remarks that a reader must know; printed under the table.
        by_class: Whether the IoU of each class is printed too.
        reference: Name of the row that differences are taken from; None: the row above.
        logged: Names of scalars that the trainings log and that are told as well.
        seeds: The seeds that it is of; (): whichever are asked for, and all that are there.
    """

    name: str
    data: str
    heading: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    command: tuple[str, ...]
    notes: tuple[str, ...] = ()
    by_class: bool = False
    reference: str | None = None
    logged: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()

    @property
    def file_stem(self) -> str:
        """`table3`, or the name."""
        return f'table{self.name}' if self.name.isdecimal() else self.name

    def runnable(self) -> tuple[Row, ...]:
        """The rows that are trained here."""
        return tuple(row for row in self.rows if row.config is not None)

    def with_batch_norms(self, kinds: Sequence[str]) -> 'Table':
        """The same table with a column for each of these `BATCH_NORMS` on each of its sets.

        Only those of the first of them are detailed.
        """
        columns = [
            Column(
                column.test_set,
                kind,
                column.paper_set if kind == 'plain' else '',
                column.detailed and kind == kinds[0],
                column.of,
            )
            for column in self.columns
            for kind in kinds
        ]
        own = () if list(kinds) == ['plain'] else ('--batch-norms', *kinds)
        return replace(self, columns=tuple(columns), command=(*self.command, *own))


def choose_rows(
    tables: Sequence[Table], names: Sequence[str] | None = None
) -> list[tuple[Table, Row]]:
    """The rows that are trained, each with its table.

    Args:
        tables: Any tables.
        names: Names of rows, or their numbers in a table as `--list` counts them, from 1; None
            chooses all.

    Raises:
        ConfigError: A name that no table has.
    """
    rows = [(one, *row) for one in tables for row in enumerate(one.runnable(), start=1)]
    if names is None:
        return [(one, row) for one, _, row in rows]
    unknown = set(names) - {key for _, i, row in rows for key in (row.name, str(i))}
    if unknown:
        known = ', '.join(dict.fromkeys(row.name for *_, row in rows))
        raise ConfigError(f'there is no row {", ".join(sorted(unknown))}; the rows are {known}')
    return [(one, row) for one, i, row in rows if {row.name, str(i)} & set(names)]
