"""What was measured for a table: means, spread and differences that are paired by seed."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from dsr_nss.classes import CLASSES
from dsr_nss.commands import typed
from dsr_nss.studies.tables.logged import logged_values
from dsr_nss.studies.tables.means import Statistic, statistic
from dsr_nss.studies.tables.over_images import intervals, rates
from dsr_nss.studies.tables.rows import paper_tables
from dsr_nss.studies.tables.runs import Run, Settings, inspect, read_facts, read_scores
from dsr_nss.studies.tables.table import Column, Row, Table

#: Scores of one run by seed: `mIoU`, `IoU/road`, ... without the set's name.
Seeds = Mapping[int, Mapping[str, Any]]
#: Content of a table's JSON file, of which all other files are made; see `summarise`.
Summary = dict[str, Any]
#: Start of the scores of `tools/test.py --report` that are the recall of objects of one size.
RECALL = 'recall_small/'
#: Starts of what `rates` finds.
RATES = ('precision/', 'recall/')


def paired_difference(row: Seeds, above: Seeds, key: str = 'mIoU') -> Statistic | None:
    """Statistic of `row - above` over the seeds that both have it of; None without any."""
    both = [
        (row[seed][key], above[seed][key])
        for seed in sorted(row.keys() & above.keys())
        if row[seed].get(key) is not None and above[seed].get(key) is not None
    ]
    return statistic([ours - theirs for ours, theirs in both])


def summarise(table: Table, settings: Settings) -> Summary:
    """Everything that was measured for a table, of its seeds, or of all whose runs lie there.

    `rows[i]['sets'][column.key]` holds `mIoU`, `difference` (from the row that `compared_row`
    names), `means` of all other scores and `differences` of class groups and recalls, each a
    `Statistic` or None; all scores by seed in `seeds`; what `intervals` says of the difference in
    `over_images`; and the paper's number in `paper`, where it has one on these data.
    `rows[i]['logged']` is what `logged_values` says of the row's trainings.
    """
    runs = {row.name: _usable_runs(row, table, settings) for row in table.runnable()}
    seeds = {
        (name, column): {
            run.seed: scores | rates(run, column)
            for run in some
            if (scores := read_scores(run, column))
        }
        for name, some in runs.items()
        for column in table.columns
    }
    rows = []

    def tested(name: str, column: Column) -> dict[int, Run]:
        known = seeds.get((name, column), {})
        return {run.seed: run for run in runs.get(name, ()) if run.seed in known}

    for row in table.rows:
        other = compared_row(table, row) or ''
        sets = {
            column.key: cell(
                seeds.get((row.name, column), {}),
                seeds.get((other, column), {}),
                intervals(tested(row.name, column), tested(other, column), column),
            )
            | _paper(table, row, column)
            for column in table.columns
        }
        trained = row.config and not row.folders
        rows.append({
            'row': row.name or None, 'label': row.label, 'group': row.group, 'paper_row': row.paper,
            'command': typed(row.command('train')) if trained else None,
            'folders': [folder for _, folder in row.folders], 'sets': sets,
            'logged': logged_values([run.folder for run in runs.get(row.name, ())], table.logged),
        })  # fmt: skip
    used = [run for some in runs.values() for run in some]
    facts = [read_facts(run) for run in used]
    commits = {fact.get('environment', {}).get('git_commit') for fact in facts}
    numbers = sorted({run.seed for run in used})
    trains = any(row.config and not row.folders for row in table.rows)
    asked = ['--seeds', *map(str, numbers)] if numbers and trains else []
    return {
        'table': table.name, 'title': table.heading, 'data': table.data,
        'place': ' '.join(filter(None, (table.file_stem, settings.data, settings.tag))),
        'max_iters': settings.max_iters, 'amp': settings.amp, 'seeds': numbers,
        'iterations': sorted({f['iterations'] for f in facts if 'iterations' in f}),
        'networks': sorted({f.get('network') or 'student, last checkpoint' for f in facts}),
        'commits': sorted(commits - {None}),
        'machines': sorted({f['machine'] for f in facts if 'machine' in f}),
        'command': typed([*table.command, *asked, *settings.arguments]),
        'differences_from': _reference(table),
        'by_class': table.by_class, 'notes': table.notes, 'columns': table.columns,
        'logged': table.logged, 'rows': rows,
    }  # fmt: skip


def _usable_runs(row: Row, table: Table, settings: Settings) -> list[Run]:
    """The runs of a row in the folder that are trained with these settings and tested somewhere."""
    numbers = list(dict(row.folders))
    if not row.folders and (settings.folder / 'runs').is_dir():
        stem = re.escape(Run(row, 0, settings).name.removesuffix('0'))
        there = [path.name for path in (settings.folder / 'runs').iterdir()]
        numbers = [int(m[1]) for name in there if (m := re.fullmatch(rf'{stem}(\d+)', name))]
    wanted = [seed for seed in sorted(numbers) if not table.seeds or seed in table.seeds]
    runs = [Run(row, seed, settings, table.columns) for seed in wanted]
    tested = [run for run in runs if any(read_scores(run, column) for column in table.columns)]
    states = [inspect(run) for run in tested]
    return [r for r, s in zip(tested, states, strict=True) if s.trained and s.problem is None]


def cell(
    seeds: Seeds,
    above: Seeds,
    over_images: Mapping[str, tuple[float, float]] = MappingProxyType({}),
) -> dict[str, Any]:
    """What a row has in one column."""
    told = [key for scores in seeds.values() for key in scores if 'IoU' in key or is_compared(key)]
    keys = dict.fromkeys(told)
    values = {key: [s[key] for s in seeds.values() if s.get(key) is not None] for key in keys}
    means = {key: statistic(values[key]) for key in keys}
    first = means.pop('mIoU', None)
    compared = [key for key in keys if is_compared(key)]
    return {
        'mIoU': first, 'difference': paired_difference(seeds, above), 'means': means,
        'differences': {key: paired_difference(seeds, above, key) for key in compared},
        'over_images': dict(over_images), 'seeds': seeds,
    }  # fmt: skip


def is_group(key: str) -> bool:
    """Whether a score is the mean over a class group."""
    return key.startswith('mIoU_') and key != 'mIoU_official'


def is_compared(key: str) -> bool:
    """Whether differences are taken of it: of class groups, and of recalls of small objects."""
    return is_group(key) or key.startswith((RECALL, *RATES))


def compared_row(table: Table, row: Row) -> str | None:
    """Name of the row that a row's difference is taken from; None without one."""
    if table.reference is not None:
        return table.reference if row.config and row.name != table.reference else None
    trained = table.runnable()
    above = trained[: trained.index(row)][-1:] if row in trained else ()
    return above[0].name if above and above[0].group == row.group else None


def _reference(table: Table) -> str:
    """What differences are taken from, in words."""
    for row in table.rows[1:]:
        if row.name == table.reference:
            return f'the row "{row.label}"'
    return 'the row above' if table.reference is None else 'the first row'


def _paper(table: Table, row: Row, column: Column) -> dict[str, Any]:
    """The paper's mIoU, and the IoU of each class where the table has them."""
    if table.data != 'real' or row.paper is None or not column.paper_set:
        return {}
    printed = paper_tables()[table.name][row.paper]
    number = printed[column.test_set if column.test_set in printed else 'mIoU']
    if number is None:
        return {}
    classes = {'classes': {c: printed[c] for c in CLASSES}} if table.by_class else {}
    return {'paper': {'set': column.paper_set, 'mIoU': number, **classes}}
