"""A measured table as Markdown, CSV, LaTeX and JSON, and inside another document.

The formats are a few lines each: a data frame library would be one more requirement and would still
leave means with their errors, bold differences and the paper's column to be written here.
"""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dsr_nss.classes import CLASSES
from dsr_nss.commands import typed
from dsr_nss.errors import ConfigError
from dsr_nss.files import write_text
from dsr_nss.studies.tables.runs import train_command
from dsr_nss.studies.tables.summary import Cell, Statistic, Summary

#: Scores beside the mIoU that stand in tables with one measured column, and their headings.
_FURTHER = {
    'mIoU_official': 'official', 'mIoU_large_static': 'large static', 'mIoU_dynamic': 'dynamic',
    'mIoU_small': 'small',
}  # fmt: skip
#: Characters that mean something to LaTeX.
_LATEX = {
    '\\': '\\textbackslash{}', '~': '\\textasciitilde{}', '^': '\\textasciicircum{}',
    **{character: f'\\{character}' for character in '&%$#_{}'},
}  # fmt: skip


def markdown(summary: Summary) -> str:
    """Heading, table, notes, and how it was made."""
    table = summary.table
    parts = [f'### {table.heading}', _markdown_table(_grid(summary))]
    lines = list(zip(table.rows, [cells[0] for cells in summary.cells], strict=True))
    measured = [
        [row.label, *(_number(cell.statistic(f'IoU/{name}'), error=False) for name in CLASSES)]
        for row, cell in lines
        if cell.seeds and table.by_class
    ]
    printed = [
        [row.paper or '', *(f'{cell.paper_classes[name]:.1f}' for name in CLASSES)]
        for row, cell in lines
        if cell.paper_classes
    ]
    paper = f'IoU of each class as the paper prints it ({table.columns[0].paper_set}):'
    for title, grid in (('IoU of each class, mean over seeds:', measured), (paper, printed)):
        parts += [title, _markdown_table([['', *CLASSES], *grid])] if grid else []
    parts += [_paragraph(summary)]
    parts += ['\n'.join(f'- {note}' for note in table.notes)] if table.notes else []
    return '\n\n'.join([*parts, f'    {command(summary)}']) + '\n'


def latex(summary: Summary) -> str:
    """A `table` environment for the package booktabs."""
    headers, *grid = _grid(summary)
    rows = summary.table.rows
    lines = [
        '% needs \\usepackage{booktabs}',
        *(f'% {line}' for line in (_paragraph(summary), *summary.table.notes)),
        '\\begin{table}',
        '\\centering',
        f'\\caption{{{_latex_cell(summary.table.heading)}}}',
        f'\\begin{{tabular}}{{l{"r" * (len(headers) - 1)}}}',
        '\\toprule',
        ' & '.join(map(_latex_cell, headers)) + ' \\\\',
        '\\midrule',
    ]
    for i, cells in enumerate(grid):
        lines += ['\\midrule'] if i and rows[i].group != rows[i - 1].group else []
        lines += [' & '.join(map(_latex_cell, cells)) + ' \\\\']
    return '\n'.join([*lines, '\\bottomrule', '\\end{tabular}', '\\end{table}']) + '\n'


def csv_text(summary: Summary) -> str:
    """One line for each row; numbers are unrounded, and empty where there is none."""
    lines = []
    for row, cells in zip(summary.table.rows, summary.cells, strict=True):
        line: dict[str, Any] = {'row': row.name, 'label': row.label, 'group': row.group}
        lines.append(line)
        for column, cell in zip(summary.table.columns, cells, strict=True):
            value, difference, where = cell.statistic(), cell.difference, column.test_set
            line[f'{where} mIoU'] = value and value.mean
            line[f'{where} standard error'] = value and value.error
            line[f'{where} seeds'] = len(cell.seeds)
            line[f'{where} difference'] = difference and difference.mean
            line[f'{where} difference standard error'] = difference and difference.error
            if any(other.paper for other in summary.table.rows):
                line[f'paper {column.paper_set}'] = cell.paper
            for key in (*_FURTHER, *(f'IoU/{name}' for name in CLASSES)):
                line[f'{where} {key}'] = (further := cell.statistic(key)) and further.mean
            for seed in summary.seeds:
                line[f'{where} mIoU seed {seed}'] = cell.seeds.get(seed, {}).get('mIoU')
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def content(summary: Summary) -> dict[str, Any]:
    """Everything that was measured, for a JSON file."""
    table, settings = summary.table, summary.settings
    rows = []
    for row, cells in zip(table.rows, summary.cells, strict=True):
        sets = {}
        for column, cell in zip(table.columns, cells, strict=True):
            value, difference = cell.statistic(), cell.difference
            sets[column.test_set] = {
                'mIoU': value and asdict(value),
                'difference': difference and asdict(difference),
                'seeds': {str(seed): dict(scores) for seed, scores in cell.seeds.items()},
            }
            if cell.paper is not None:
                paper = {'set': column.paper_set, 'mIoU': cell.paper}
                sets[column.test_set] |= {'paper': paper}
        rows.append({
            'row': row.name or None, 'label': row.label, 'group': row.group, 'paper_row': row.paper,
            'command': typed(train_command(row)) if row.config else None, 'sets': sets,
        })  # fmt: skip
    named = {key: list(getattr(summary, key)) for key in ('seeds', 'iterations', 'commits')}
    return {
        'table': table.name, 'title': table.heading, 'data': table.data,
        'max_iters': settings.max_iters, 'amp': settings.amp, **named,
        'machines': list(summary.machines), 'command': command(summary),
        'notes': list(table.notes), 'rows': rows,
    }  # fmt: skip


def command(summary: Summary) -> str:
    """What makes this table, or the part of it that is measured."""
    settings, table = summary.settings, summary.table
    which = ['--rows-file', table.file] if table.file else ['--table', table.name]
    parts = ['tools/reproduce.py', *which, '--data', settings.data]
    parts += ['--seeds', *map(str, summary.seeds)] if summary.seeds else []
    parts += ['--max-iters', str(settings.max_iters)] if settings.max_iters else []
    return typed([*parts, *(['--amp', settings.amp] if settings.amp else [])])


# ---- what stands in the cells --------------------------------------------------------------------


def _grid(summary: Summary) -> list[list[str]]:
    """The header and the rows, in Markdown."""
    columns = summary.table.columns
    several = len(columns) > 1
    has_paper = [
        any(line[i].paper is not None for line in summary.cells) for i in range(len(columns))
    ]
    grid = [['']]
    for column, printed in zip(columns, has_paper, strict=True):
        grid[0] += [column.test_set if several else f'mIoU, {column.test_set}', 'difference']
        grid[0] += [f'paper, {column.paper_set}'] if printed else []
    grid[0] += [] if several else list(_FURTHER.values())
    for row, cells in zip(summary.table.rows, summary.cells, strict=True):
        texts = [row.label]
        for cell, printed in zip(cells, has_paper, strict=True):
            texts += [_number(cell.statistic()), _difference(cell)]
            texts += ['-' if cell.paper is None else f'{cell.paper:.1f}'] if printed else []
        if not several:
            texts += [_number(cells[0].statistic(key), error=False) for key in _FURTHER]
        grid.append(texts)
    return grid


def _number(value: Statistic | None, error: bool = True, sign: str = '') -> str:
    if value is None:
        return '-'
    spread = f' ± {value.error:.1f}' if error and value.error is not None else ''
    return f'{value.mean:{sign}.1f}{spread}'


def _difference(cell: Cell) -> str:
    text = _number(cell.difference, sign='+')
    return f'**{text}**' if cell.difference and cell.difference.clear else text


def _paragraph(summary: Summary) -> str:
    """What the numbers are."""
    if not summary.seeds:
        return 'Nothing measured yet.'
    from_what = 'the first row' if summary.table.reference else 'the row above'
    seeds = f'seed{"s" * (len(summary.seeds) > 1)} {", ".join(map(str, summary.seeds))}'
    counts = {len(cell.seeds) for row in summary.cells for cell in row if cell.seeds}
    partly = '; some rows have fewer' if counts != {len(summary.seeds)} else ''
    lengths = ' and '.join(f'{number:,}' for number in summary.iterations)
    spread = f'Differences are from {from_what}; one seed has no spread.'
    if len(summary.seeds) > 1:
        spread = (
            f'Mean ± standard error; differences from {from_what} are paired by seed, bold beyond '
            'two standard errors.'
        )
    where = ', '.join(summary.machines) or 'machine unknown'
    commits = ', '.join(map(_short, summary.commits)) or 'unknown'
    return (
        f'Percent, {seeds}{partly}, {lengths} iterations; student, last checkpoint. {spread} '
        f'Trained on {where}; commit {commits}.'
    )


def _short(commit: str) -> str:
    number, _, changes = commit.partition('+')
    return number[:7] + (f' with {changes}' if changes else '')


def _markdown_table(grid: Sequence[Sequence[str]]) -> str:
    rule = ['---', *['---:'] * (len(grid[0]) - 1)]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in (grid[0], rule, *grid[1:]))


def _latex_cell(cell: str) -> str:
    number = re.fullmatch(r'(\**)([-+]?[\d.]+( ± [\d.]+)?)\**', cell)
    if number is not None:
        text = number[2].replace('±', '\\pm')
        return f'$\\mathbf{{{text}}}$' if number[1] else f'${text}$'
    return ''.join(_LATEX.get(character, character) for character in cell)


# ---- files ---------------------------------------------------------------------------------------


def write_changed(path: Path, text: str) -> None:
    """Write a text file whole, unless it already has this content."""
    if not path.is_file() or path.read_text(encoding='utf-8') != text:
        write_text(path, text)


def write_table(summary: Summary) -> None:
    """Write `<folder>/<stem>.{md,csv,tex,json}`."""
    base = summary.settings.folder / summary.table.file_stem
    everything = json.dumps(content(summary), indent=2, allow_nan=False, ensure_ascii=False)
    write_changed(base.with_suffix('.csv'), csv_text(summary))
    write_changed(base.with_suffix('.tex'), latex(summary))
    write_changed(base.with_suffix('.json'), everything + '\n')
    write_changed(base.with_suffix('.md'), markdown(summary))


def marker(summary: Summary) -> str:
    """Name of the table's place in a document, e.g. `table3 nightscape`."""
    parts = (summary.table.file_stem, summary.settings.data, summary.settings.tag)
    return ' '.join(part for part in parts if part)


def update_document(path: Path, summaries: Sequence[Summary]) -> list[str]:
    """Put tables into a document: between `<!-- table3 nightscape begin -->` and `... end -->`.

    Args:
        path: The document; only what stands between the two lines of a table changes.
        summaries: The tables; those that the document has no place for are left out.

    Returns:
        The names of the places that were filled.

    Raises:
        ConfigError: The document is not there or has no place for any of them.
    """
    if not path.is_file():
        raise ConfigError(f'document not found: {path}')
    text = path.read_text(encoding='utf-8')
    filled = []
    for summary in summaries:
        name = marker(summary)
        begin, end = f'<!-- {name} begin -->\n', f'<!-- {name} end -->'
        before, found, rest = text.partition(begin)
        if found and end in rest:
            text = f'{before}{begin}\n{markdown(summary)}\n{end}{rest.partition(end)[2]}'
            filled.append(name)
    if not filled:
        places = ', '.join(f'<!-- {marker(s)} begin --> ... end -->' for s in summaries)
        raise ConfigError(f'{path} has no place for these tables; it would be: {places}')
    write_changed(path, text)
    return filled
