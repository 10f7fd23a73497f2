"""A measured table as Markdown, CSV, LaTeX and JSON, and inside another document."""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dsr_nss.classes import CLASSES
from dsr_nss.errors import ConfigError
from dsr_nss.files import write_text
from dsr_nss.studies.tables.runs import shown
from dsr_nss.studies.tables.summary import Cell, Statistic, Summary
from dsr_nss.studies.tables.tables import Column

#: Scores beside the mIoU that stand in tables with one measured column, and their headings.
_FURTHER = {
    'mIoU_official': 'official',
    'mIoU_large_static': 'large static',
    'mIoU_dynamic': 'dynamic',
    'mIoU_small': 'small',
}
_NONE = '-'


def markdown(summary: Summary) -> str:
    """Heading, table, notes, and how it was made."""
    table = summary.table
    parts = [f'### {table.heading}', _markdown_table(*_cells(summary, _bold_markdown))]
    if table.by_class and summary.seeds:
        parts += ['IoU of each class, mean over seeds:', _markdown_table(*_class_cells(summary))]
    if any(cell.paper_classes for row in summary.cells for cell in row):
        parts += [
            f'IoU of each class as the paper prints it ({table.columns[0].paper_set}):',
            _markdown_table(*_paper_class_cells(summary)),
        ]
    parts += [_paragraph(summary)]
    parts += ['\n'.join(f'- {note}' for note in table.notes)] if table.notes else []
    parts += [f'    {command(summary)}']
    return '\n\n'.join(parts) + '\n'


def latex(summary: Summary) -> str:
    """A `table` environment for the package booktabs."""
    headers, rows = _cells(summary, _bold_latex)
    starts = _group_starts(summary)
    lines = [
        '% needs \\usepackage{booktabs}',
        *(f'% {line}' for line in (_paragraph(summary), *summary.table.notes)),
        '\\begin{table}',
        '\\centering',
        f'\\caption{{{_escape(summary.table.heading)}}}',
        f'\\begin{{tabular}}{{l{"r" * (len(headers) - 1)}}}',
        '\\toprule',
        _latex_line(headers),
        '\\midrule',
    ]
    for number, row in enumerate(rows):
        lines += ['\\midrule'] if number in starts else []
        lines += [_latex_line(row)]
    lines += ['\\bottomrule', '\\end{tabular}', '\\end{table}']
    return '\n'.join(lines) + '\n'


def csv_text(summary: Summary) -> str:
    """One line for each row; numbers are unrounded, and empty where there is none."""
    lines = [_csv_line(summary, i) for i in range(len(summary.table.rows))]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def content(summary: Summary) -> dict[str, Any]:
    """Everything that was measured, for a JSON file."""
    table = summary.table
    return {
        'table': table.name,
        'title': table.heading,
        'data': table.data,
        'max_iters': summary.settings.max_iters,
        'amp': summary.settings.amp,
        'seeds': list(summary.seeds),
        'iterations': list(summary.iterations),
        'commits': list(summary.commits),
        'machines': list(summary.machines),
        'command': command(summary),
        'notes': list(table.notes),
        'rows': [
            {
                'row': row.name or None,
                'label': row.label,
                'group': row.group,
                'config': row.config,
                'paper_row': row.paper,
                'sets': {
                    column.test_set: _cell_content(cell, column)
                    for column, cell in zip(table.columns, cells, strict=True)
                },
            }
            for row, cells in zip(table.rows, summary.cells, strict=True)
        ],
    }


def command(summary: Summary) -> str:
    """What makes this table, or the part of it that is measured."""
    settings = summary.settings
    parts = ['tools/reproduce.py', '--table', summary.table.name, '--data', settings.data]
    parts += ['--seeds', *map(str, summary.seeds)] if summary.seeds else []
    parts += ['--max-iters', str(settings.max_iters)] if settings.max_iters else []
    parts += ['--amp', settings.amp] if settings.amp else []
    return shown(parts)


# ---- the same cells for Markdown and LaTeX -------------------------------------------------------

Bold = Callable[[str], str]


def _cells(summary: Summary, bold: Bold) -> tuple[list[str], list[list[str]]]:
    columns = summary.table.columns
    several = len(columns) > 1
    headers = ['']
    printed = [_has_paper([line[i] for line in summary.cells]) for i in range(len(columns))]
    for column, has_paper in zip(columns, printed, strict=True):
        headers += [column.test_set if several else f'mIoU, {column.test_set}', 'difference']
        headers += [f'paper, {column.paper_set}'] if has_paper else []
    headers += [] if several else list(_FURTHER.values())
    rows = []
    for row, cells in zip(summary.table.rows, summary.cells, strict=True):
        texts = [row.label]
        for cell, has_paper in zip(cells, printed, strict=True):
            texts += [_number(cell.statistic()), _difference(cell.difference, bold)]
            if has_paper:
                texts.append(_NONE if cell.paper is None else f'{cell.paper:.1f}')
        if not several:
            texts += [_mean(cells[0].statistic(key)) for key in _FURTHER]
        rows.append(texts)
    return headers, rows


def _class_cells(summary: Summary) -> tuple[list[str], list[list[str]]]:
    rows = [
        [row.label, *(_mean(cells[0].statistic(f'IoU/{name}')) for name in CLASSES)]
        for row, cells in zip(summary.table.rows, summary.cells, strict=True)
        if cells[0].seeds
    ]
    return ['', *CLASSES], rows


def _paper_class_cells(summary: Summary) -> tuple[list[str], list[list[str]]]:
    rows = [
        [row.paper or '', *(f'{cells[0].paper_classes[name]:.1f}' for name in CLASSES)]
        for row, cells in zip(summary.table.rows, summary.cells, strict=True)
        if cells[0].paper_classes
    ]
    return ['', *CLASSES], rows


def _has_paper(cells: Sequence[Cell]) -> bool:
    return any(cell.paper is not None for cell in cells)


def _number(value: Statistic | None) -> str:
    if value is None:
        return _NONE
    return f'{value.mean:.1f}' + ('' if value.error is None else f' ± {value.error:.1f}')


def _mean(value: Statistic | None) -> str:
    return _NONE if value is None else f'{value.mean:.1f}'


def _difference(value: Statistic | None, bold: Bold) -> str:
    if value is None:
        return _NONE
    text = f'{value.mean:+.1f}' + ('' if value.error is None else f' ± {value.error:.1f}')
    return bold(text) if value.clear else text


def _paragraph(summary: Summary) -> str:
    """What the numbers are."""
    if not summary.seeds:
        return 'Nothing measured yet.'
    reference = summary.table.reference
    from_what = 'the first row' if reference else 'the row above'
    seeds = f'seed{"s" * (len(summary.seeds) > 1)} {", ".join(map(str, summary.seeds))}'
    counts = {len(cell.seeds) for row in summary.cells for cell in row if cell.seeds}
    partly = '; some rows have fewer' if counts != {len(summary.seeds)} else ''
    lengths = ' and '.join(f'{number:,}' for number in summary.iterations)
    sentences = [f'Percent, {seeds}{partly}, {lengths} iterations; student, last checkpoint.']
    if len(summary.seeds) > 1:
        sentences.append(
            f'Mean ± standard error; differences from {from_what} are paired by seed, bold beyond '
            'two standard errors.'
        )
    else:
        sentences.append(f'Differences are from {from_what}; one seed has no spread.')
    where = ', '.join(summary.machines) or 'machine unknown'
    commits = ', '.join(_short(commit) for commit in summary.commits) or 'unknown'
    return ' '.join(sentences) + f' Trained on {where}; commit {commits}.'


def _short(commit: str) -> str:
    number, _, changes = commit.partition('+')
    return number[:7] + (f' with {changes}' if changes else '')


def _group_starts(summary: Summary) -> set[int]:
    rows = summary.table.rows
    return {i for i in range(1, len(rows)) if rows[i].group != rows[i - 1].group}


# ---- formats -------------------------------------------------------------------------------------


def _markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ['---', *['---:'] * (len(headers) - 1)]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in (headers, rule, *rows))


def _bold_markdown(text: str) -> str:
    return f'**{text}**'


def _bold_latex(text: str) -> str:
    return f'\\mathbf{{{text}}}'


_LATEX = {
    '\\': '\\textbackslash{}', '&': '\\&', '%': '\\%', '$': '\\$', '#': '\\#', '_': '\\_',
    '{': '\\{', '}': '\\}', '~': '\\textasciitilde{}', '^': '\\textasciicircum{}',
}  # fmt: skip


def _escape(text: str) -> str:
    return ''.join(_LATEX.get(character, character) for character in text)


def _latex_line(cells: Sequence[str]) -> str:
    return ' & '.join(_latex_cell(cell) for cell in cells) + ' \\\\'


def _latex_cell(cell: str) -> str:
    number = cell.replace('±', r'\pm')
    if cell.startswith(r'\mathbf{') or re.fullmatch(r'[-+]?[\d.]+( ± [\d.]+)?', cell):
        return f'${number}$'
    return _escape(cell)


def _csv_line(summary: Summary, number: int) -> dict[str, Any]:
    row = summary.table.rows[number]
    line: dict[str, Any] = {
        'row': row.name, 'label': row.label, 'group': row.group, 'config': row.config or '',
    }  # fmt: skip
    for column, cell in zip(summary.table.columns, summary.cells[number], strict=True):
        where = column.test_set
        value, difference = cell.statistic(), cell.difference
        line[f'{where} mIoU'] = value.mean if value else ''
        line[f'{where} standard error'] = _value(value.error if value else None)
        line[f'{where} seeds'] = value.count if value else 0
        line[f'{where} difference'] = difference.mean if difference else ''
        line[f'{where} difference standard error'] = _value(
            difference.error if difference else None
        )
        if summary.table.data == 'real':
            line[f'paper {column.paper_set}'] = _value(cell.paper)
        for key in (*_FURTHER, *(f'IoU/{name}' for name in CLASSES)):
            further = cell.statistic(key)
            line[f'{where} {key}'] = further.mean if further else ''
        for seed in summary.seeds:
            line[f'{where} mIoU seed {seed}'] = _value(cell.seeds.get(seed, {}).get('mIoU'))
    return line


def _value(number: float | None) -> float | str:
    return '' if number is None else number


def _cell_content(cell: Cell, column: Column) -> dict[str, Any]:
    value = cell.statistic()
    measured = {
        'mIoU': asdict(value) if value else None,
        'difference': asdict(cell.difference) if cell.difference else None,
        'seeds': {str(seed): dict(scores) for seed, scores in cell.seeds.items()},
    }
    if cell.paper is None:
        return measured
    return measured | {'paper': {'set': column.paper_set, 'mIoU': cell.paper}}


# ---- files ---------------------------------------------------------------------------------------


def write_changed(path: Path, text: str) -> bool:
    """Write a text file whole, unless it already has this content; says whether it did."""
    if path.is_file() and path.read_text(encoding='utf-8') == text:
        return False
    write_text(path, text)
    return True


def write_table(summary: Summary) -> Path:
    """Write `<folder>/<stem>.{md,csv,tex,json}`; returns the Markdown file."""
    base = summary.settings.folder / summary.table.file_stem
    write_changed(base.with_suffix('.csv'), csv_text(summary))
    write_changed(base.with_suffix('.tex'), latex(summary))
    text = json.dumps(content(summary), indent=2, allow_nan=False, ensure_ascii=False)
    write_changed(base.with_suffix('.json'), text + '\n')
    write_changed(base.with_suffix('.md'), markdown(summary))
    return base.with_suffix('.md')


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
        begin, end = f'<!-- {name} begin -->', f'<!-- {name} end -->'
        place = re.compile(f'({re.escape(begin)}\n).*?({re.escape(end)})', re.DOTALL)
        # backslashes of the table are no references to groups
        inner = markdown(summary).replace('\\', r'\\')
        text, count = place.subn(rf'\1\n{inner}\n\2', text)
        if count:
            filled.append(name)
    if not filled:
        places = ', '.join(f'<!-- {marker(s)} begin --> ... end -->' for s in summaries)
        raise ConfigError(f'{path} has no place for these tables; it would be: {places}')
    write_changed(path, text)
    return filled
