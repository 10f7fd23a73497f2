"""Mean, spread and paired differences of the rows of a table."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsr_nss.studies.tables.paper import paper_tables
from dsr_nss.studies.tables.runs import Run, Settings
from dsr_nss.studies.tables.state import inspect, read_facts, read_scores
from dsr_nss.studies.tables.tables import Column, Row, Table

#: Scores of one run on one set, without the set's name: `mIoU`, `IoU/road`, ...
Scores = Mapping[str, Any]


@dataclass(frozen=True)
class Statistic:
    """Mean over seeds.

    Attributes:
        mean: Mean in percent.
        error: Standard error of the mean, `s / sqrt(n)` with `n - 1` in `s`; None for one seed.
        count: Number of seeds.
    """

    mean: float
    error: float | None
    count: int

    @property
    def clear(self) -> bool:
        """Whether it is more than two standard errors from zero; False where that is unknown."""
        return self.error is not None and abs(self.mean) > 2 * self.error


@dataclass(frozen=True)
class Cell:
    """What a row has on one set.

    Attributes:
        seeds: Seed -> scores.
        difference: Difference from the row above in the same group (or the table's reference),
            paired by seed; None without one.
        paper: The paper's number; None where it has none or the data are not its data.
        paper_classes: IoU of each class that the paper prints, by our class names.
    """

    seeds: Mapping[int, Scores]
    difference: Statistic | None
    paper: float | None
    paper_classes: Mapping[str, float | None]

    def statistic(self, key: str = 'mIoU') -> Statistic | None:
        """Statistic of a score over the seeds that have it; None without any."""
        return statistic([s[key] for s in self.seeds.values() if s.get(key) is not None])


@dataclass(frozen=True)
class Summary:
    """A measured table.

    Attributes:
        table: The table with its rows and columns.
        settings: What the table's runs have in common.
        cells: One list for each row, with one cell for each column.
        seeds: All seeds that any row has.
        commits: Versions of the code that trained the runs.
        machines: Machines that trained the runs.
        iterations: Lengths of the runs in iterations.
    """

    table: Table
    settings: Settings
    cells: Sequence[Sequence[Cell]]
    seeds: Sequence[int]
    commits: Sequence[str]
    machines: Sequence[str]
    iterations: Sequence[int]


def statistic(values: Sequence[float]) -> Statistic | None:
    """Mean and standard error; None of nothing."""
    count = len(values)
    if not count:
        return None
    mean = math.fsum(values) / count
    if count == 1:
        return Statistic(mean, None, 1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return Statistic(mean, math.sqrt(variance / count), count)


def paired_difference(
    row: Mapping[int, Scores], above: Mapping[int, Scores], key: str = 'mIoU'
) -> Statistic | None:
    """Statistic of `row - above` over the seeds that both have; None without any."""
    both = sorted(row.keys() & above.keys())
    return statistic([row[seed][key] - above[seed][key] for seed in both])


def summarise(table: Table, settings: Settings) -> Summary:
    """Everything that was measured for a table, of all seeds whose runs lie in the folder."""
    runs = {row.name: _usable_runs(row, table, settings) for row in table.runnable()}
    scores = [_scores(runs.get(row.name, []), table.columns) for row in table.rows]
    cells = [
        [
            Cell(
                seeds=scores[i][c],
                difference=_difference(table, scores, i, c),
                paper=_paper(table, row, column),
                paper_classes=_paper_classes(table, row),
            )
            for c, column in enumerate(table.columns)
        ]
        for i, row in enumerate(table.rows)
    ]
    used = {run.name: run for some in runs.values() for run in some}
    facts = [read_facts(run) for run in used.values()]
    environments = [f.get('environment', {}) for f in facts]
    return Summary(
        table=table,
        settings=settings,
        cells=cells,
        seeds=sorted({run.seed for run in used.values()}),
        commits=sorted({e['git_commit'] for e in environments if 'git_commit' in e}),
        machines=sorted({f['machine'] for f in facts if 'machine' in f}),
        iterations=sorted({f['iterations'] for f in facts if 'iterations' in f}),
    )


def _usable_runs(row: Row, table: Table, settings: Settings) -> list[Run]:
    """The runs of a row in the folder that are trained with these settings and tested somewhere."""
    assert row.config is not None
    sets = tuple(column.test_set for column in table.columns)
    stem = Run(row.config, 0, settings).folder.name.removesuffix('0')
    seeds = [
        int(found[1])
        for path in (settings.folder / 'runs').glob(f'{stem}*')
        if (found := re.fullmatch(rf'{re.escape(stem)}(\d+)', path.name))
    ]
    runs = [Run(row.config, seed, settings, sets) for seed in sorted(seeds)]
    tested = [run for run in runs if any(read_scores(run, name) for name in sets)]
    states = [inspect(run) for run in tested]
    return [r for r, s in zip(tested, states, strict=True) if s.trained and s.problem is None]


def _scores(runs: Sequence[Run], columns: Sequence[Column]) -> list[dict[int, Scores]]:
    found = [{run.seed: read_scores(run, column.test_set) for run in runs} for column in columns]
    return [{seed: s for seed, s in some.items() if s is not None} for some in found]


def _difference(
    table: Table, scores: Sequence[Sequence[Mapping[int, Scores]]], row: int, column: int
) -> Statistic | None:
    other = _compared_row(table, row)
    return None if other is None else paired_difference(scores[row][column], scores[other][column])


def _compared_row(table: Table, number: int) -> int | None:
    """Index of the row that a row's difference is taken from."""
    row = table.rows[number]
    if row.config is None:
        return None
    if table.reference is not None:
        names = [r.name for r in table.rows]
        reference = names.index(table.reference) if table.reference in names else number
        return None if reference == number else reference
    for earlier in range(number - 1, -1, -1):
        other = table.rows[earlier]
        if other.config is not None:
            return earlier if other.group == row.group else None
    return None


def _paper(table: Table, row: Row, column: Column) -> float | None:
    if table.data != 'real' or row.paper is None:
        return None
    return paper_tables()[table.name][row.paper][column.paper]


def _paper_classes(table: Table, row: Row) -> dict[str, float | None]:
    if table.data != 'real' or row.paper is None or not table.by_class:
        return {}
    names = {'light': 'traffic light', 'sign': 'traffic sign'}
    printed = paper_tables()[table.name][row.paper]
    return {names.get(key, key): value for key, value in printed.items() if key != 'mIoU'}
