"""Mean, spread and paired differences of the rows of a table."""

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsr_nss.studies.tables.paper import paper_tables
from dsr_nss.studies.tables.rows import Row
from dsr_nss.studies.tables.runs import Run, Settings
from dsr_nss.studies.tables.state import inspect, read_facts, read_scores
from dsr_nss.studies.tables.tables import Column, Table

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
    if not values:
        return None
    error = statistics.stdev(values) / math.sqrt(len(values)) if values[1:] else None
    return Statistic(statistics.fmean(values), error, len(values))


def paired_difference(
    row: Mapping[int, Scores], above: Mapping[int, Scores], key: str = 'mIoU'
) -> Statistic | None:
    """Statistic of `row - above` over the seeds that both have; None without any."""
    both = sorted(row.keys() & above.keys())
    return statistic([row[seed][key] - above[seed][key] for seed in both])


def summarise(table: Table, settings: Settings) -> Summary:
    """Everything that was measured for a table, of all seeds whose runs lie in the folder."""
    runs = [_usable_runs(row, table, settings) if row.config else [] for row in table.rows]
    cells = []
    for i, row in enumerate(table.rows):
        other = compared_row(table, i)
        line = []
        for column in table.columns:
            seeds = _scores(runs[i], column)
            above = {} if other is None else _scores(runs[other], column)
            line.append(Cell(seeds, paired_difference(seeds, above), *_paper(table, row, column)))
        cells.append(line)
    used = {run.name: run for some in runs for run in some}.values()
    facts = [read_facts(run) for run in used]
    environments = [f.get('environment', {}) for f in facts]
    return Summary(
        table=table,
        settings=settings,
        cells=cells,
        seeds=sorted({run.seed for run in used}),
        commits=sorted({e['git_commit'] for e in environments if 'git_commit' in e}),
        machines=sorted({f['machine'] for f in facts if 'machine' in f}),
        iterations=sorted({f['iterations'] for f in facts if 'iterations' in f}),
    )


def _usable_runs(row: Row, table: Table, settings: Settings) -> list[Run]:
    """The runs of a row in the folder that are trained with these settings and tested somewhere."""
    sets = tuple(column.test_set for column in table.columns)
    stem = Run(row, 0, settings).folder.name.removesuffix('0')
    found = [
        re.fullmatch(rf'{re.escape(stem)}(\d+)', path.name)
        for path in (settings.folder / 'runs').glob(f'{stem}*')
    ]
    runs = [Run(row, seed, settings, sets) for seed in sorted(int(f[1]) for f in found if f)]
    tested = [run for run in runs if any(read_scores(run, name) for name in sets)]
    states = [inspect(run) for run in tested]
    return [r for r, s in zip(tested, states, strict=True) if s.trained and s.problem is None]


def _scores(runs: Sequence[Run], column: Column) -> dict[int, Scores]:
    found = {run.seed: read_scores(run, column.test_set) for run in runs}
    return {seed: scores for seed, scores in found.items() if scores is not None}


def compared_row(table: Table, number: int) -> int | None:
    """Index of the row that a row's difference is taken from; None without one."""
    row = table.rows[number]
    trained = [i for i, other in enumerate(table.rows) if other.config is not None]
    if row.config is None:
        return None
    if table.reference is not None:
        return next((i for i in trained if table.rows[i].name == table.reference != row.name), None)
    above = [i for i in trained if i < number]
    return above[-1] if above and table.rows[above[-1]].group == row.group else None


def _paper(table: Table, row: Row, column: Column) -> tuple[float | None, dict]:
    """The paper's mIoU, and the IoU of each class where the table has them."""
    if table.data != 'real' or row.paper is None:
        return None, {}
    printed = paper_tables()[table.name][row.paper]
    names = {'light': 'traffic light', 'sign': 'traffic sign'}
    classes = {names.get(k, k): v for k, v in printed.items() if k != 'mIoU'}
    return printed[column.paper], classes if table.by_class else {}
