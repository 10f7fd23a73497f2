"""A measured table as Markdown, CSV, LaTeX and JSON.

The formats are a few lines each: a data frame library would be one more requirement and would still
leave means with their errors, bold differences and the paper's column to be written here.
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence

from dsr_nss.classes import CLASSES
from dsr_nss.studies.tables.means import Statistic
from dsr_nss.studies.tables.summary import RATES, RECALL, Summary, is_compared, is_group
from dsr_nss.studies.tables.table import column_titles

#: Characters that mean something to LaTeX.
_LATEX = {
    '\\': '\\textbackslash{}', '~': '\\textasciitilde{}', '^': '\\textasciicircum{}',
    **{character: f'\\{character}' for character in '&%$#_{}'},
}  # fmt: skip


def markdown(summary: Summary) -> str:
    """Heading, table, notes, and how it was made."""
    parts = [f'### {summary["title"]}', *_first_tables(summary)]
    first, names = summary['columns'][0], _further(summary, 'IoU/')
    cells = [(row, row['sets'][first.key]) for row in summary['rows']]
    measured = [
        [row['label'], *(_number(cell['means'].get(name), error=False) for name in names)]
        for row, cell in cells
        if cell['seeds']
    ]
    printed = [
        [row['paper_row'], *(f'{value:.1f}' for value in cell['paper']['classes'].values())]
        for row, cell in cells
        if 'classes' in cell.get('paper', {})
    ]
    by_class = {
        'mean over seeds:': [['', *(name[4:] for name in names)], *measured],
        f'as the paper prints it ({first.paper_set}):': [['', *CLASSES], *printed],
    }
    for title, grid in by_class.items():
        if summary['by_class'] and grid[1:]:
            parts += [f'IoU of each class, {title}', _markdown_table(grid)]
    if recalls := _valued(summary, lambda key: key.startswith(RECALL)):
        parts += [
            f'Recall of objects of small classes by size, {first.title}:',
            _markdown_table(_compared(summary, recalls)),
        ]
    if rates := _valued(summary, lambda key: key.startswith(RATES)):
        parts += [
            f'Precision (how much of what is predicted as a class is of it) and recall (how much '
            f'of a class is found), {first.title}:',
            _markdown_table(_compared(summary, rates)),
        ]
    if (ends := _over_images(summary))[1:]:
        parts += [
            f'Differences over other test images, {first.title}: 95 % of 1,000 draws of the '
            'images, the same ones for all rows and seeds, lie between',
            _markdown_table(ends),
        ]
    parts += [_paragraph(summary)]
    if any(row['logged'] for row in summary['rows']):
        parts += [
            'Logged by the trainings, mean over the lines of their logs:',
            _markdown_table(_logged(summary)),
        ]
    parts += ['\n'.join(f'- {note}' for note in summary['notes'])] if summary['notes'] else []
    return '\n\n'.join([*parts, f'    {summary["command"]}']) + '\n'


def main_markdown(summary: Summary) -> str:
    """What a page that discusses the table shows of it: means and groups, and how it was made."""
    parts = [*_first_tables(summary), _paragraph(summary), f'    {summary["command"]}']
    return '\n\n'.join(parts) + '\n'


def _first_tables(summary: Summary) -> list[str]:
    parts = [_markdown_table(_means(summary))]
    if keys := _groups(summary):
        parts += [f'Means over the classes of a group, {summary["columns"][0].title}:']
        parts += [_markdown_table(_compared(summary, keys))]
    return parts


def _groups(summary: Summary) -> list[str]:
    """Keys of the group means that are shown: of several sets none."""
    return [] if _several_sets(summary) else _valued(summary, is_group)


def latex(summary: Summary) -> str:
    """A `table` environment for the package booktabs."""
    groups = [row['group'] for row in summary['rows']]
    keys = _groups(summary)
    beside = [_titles(keys), *(_values(row, summary, keys) for row in summary['rows'])]
    grid = zip(_means(summary), beside, strict=True)
    lines = [' & '.join(map(_latex_cell, [*one, *other])) + ' \\\\' for one, other in grid]
    for i in range(len(groups) - 1, -1, -1):
        if i == 0 or groups[i] != groups[i - 1]:
            lines.insert(i + 1, '\\midrule')
    said = [f'Groups: {summary["columns"][0].title}.'] if keys else []
    notes = '\n'.join(f'% {line}' for line in (_paragraph(summary), *said, *summary['notes']))
    columns = 'l' + 'r' * lines[0].count(' & ')
    return '\n'.join([
        '% needs \\usepackage{booktabs}', notes, '\\begin{table}', '\\centering',
        f'\\caption{{{_latex_cell(summary["title"])}}}', f'\\begin{{tabular}}{{{columns}}}',
        '\\toprule', *lines, '\\bottomrule', '\\end{tabular}', '\\end{table}\n',
    ])  # fmt: skip


def csv_text(summary: Summary) -> str:
    """One line for each row; numbers are unrounded, and empty where there is none."""
    lines = []
    for row in summary['rows']:
        line = {'row': row['row'], 'label': row['label'], 'group': row['group']}
        lines.append(line)
        for column in summary['columns']:
            cell, where = row['sets'][column.key], column.key
            for name, key in (('', 'mIoU'), (' difference', 'difference')):
                value = cell[key]
                line[f'{where}{name or " mIoU"}'] = value and value.mean
                line[f'{where}{name} standard error'] = value and value.error
            line[f'{where} seeds'] = len(cell['seeds'])
            if column.paper_set:
                line[f'paper {column.paper_set}'] = cell.get('paper', {}).get('mIoU')
            for key in _further(summary, ''):
                line[f'{where} {key}'] = (value := cell['means'].get(key)) and value.mean
                if is_compared(key):
                    value = cell['differences'].get(key)
                    line[f'{where} {key} difference'] = value and value.mean
                    line[f'{where} {key} difference standard error'] = value and value.error
            for seed in summary['seeds']:
                line[f'{where} mIoU seed {seed}'] = cell['seeds'].get(seed, {}).get('mIoU')
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def json_text(summary: Summary) -> str:
    """Everything that was measured."""
    return json.dumps(summary, indent=2, allow_nan=False, ensure_ascii=False, default=vars) + '\n'


# ---- what stands in the cells --------------------------------------------------------------------


def _further(summary: Summary, start: str) -> list[str]:
    """The scores beside the mIoU whose name starts so: a config may have classes of its own."""
    cells = [cell for row in summary['rows'] for cell in row['sets'].values()]
    return [key for key in {k: 0 for cell in cells for k in cell['means']} if key.startswith(start)]


def _several_sets(summary: Summary) -> bool:
    return len({column.test_set for column in summary['columns']}) > 1


def _means(summary: Summary) -> list[list[str]]:
    """The header and the rows, in Markdown; with the seeds of each row where they differ."""
    columns, rows, partly = summary['columns'], summary['rows'], _partly(summary)
    titles = column_titles(columns) if columns[1:] else [f'mIoU, {columns[0].title}']
    has_paper = {c.key for c in columns if any('paper' in row['sets'][c.key] for row in rows)}
    grid = [['', 'seeds'] if partly else ['']]
    for column, title in zip(columns, titles, strict=True):
        grid[0] += [title, 'difference']
        grid[0] += [f'paper, {column.paper_set}'] if column.key in has_paper else []
    for row in rows:
        texts = [row['label'], *([_seeds(row)] if partly else [])]
        for column in columns:
            cell = row['sets'][column.key]
            texts += [_number(cell['mIoU']), _difference(cell['difference'])]
            if column.key in has_paper:
                texts += [f'{cell["paper"]["mIoU"]:.1f}' if 'paper' in cell else '-']
        grid.append(texts)
    return grid


def _seeds(row: Mapping) -> str:
    """Those that a row is measured of."""
    each = {tuple(sorted(cell['seeds'])) for cell in row['sets'].values() if cell['seeds']}
    every = ', '.join(map(str, sorted({seed for seeds in each for seed in seeds})))
    return f'{every or "-"}{", not in each column" if len(each) > 1 else ""}'


def _partly(summary: Summary) -> bool:
    """Whether what is measured is not all of the same seeds."""
    cells = [cell for row in summary['rows'] for cell in row['sets'].values()]
    return len({tuple(sorted(cell['seeds'])) for cell in cells if cell['seeds']}) > 1


def _fewer(summary: Summary) -> str:
    """Says so where a mean or a difference has not all seeds that the caption names."""
    cells = [cell for row in summary['rows'] for cell in row['sets'].values() if cell['seeds']]
    shown = [
        value
        for cell in cells
        for key, difference in cell['differences'].items()
        for value in (cell['means'].get(key), difference, cell['difference'])
    ]
    counts = {value.count for value in shown if value} | {len(cell['seeds']) for cell in cells}
    if counts <= {len(summary['seeds'])}:
        return ''
    return '; some cells have fewer, and a difference those that both rows have'


def _valued(summary: Summary, wanted: Callable[[str], bool]) -> list[str]:
    """Keys of some scores of the first column, where any row has a value."""
    cells = [row['sets'][summary['columns'][0].key]['means'] for row in summary['rows']]
    return [k for k in _further(summary, '') if wanted(k) and any(c.get(k) for c in cells)]


def _titles(keys: Sequence[str]) -> list[str]:
    titles = []
    for key in keys:
        rate, _, name = key.partition('/')
        title = key.removeprefix('mIoU_') if is_group(key) else name
        titles += [f'{title}: {rate}' if key.startswith(RATES) else title, 'difference']
    return [title.replace('_', ' ') for title in titles]


def _values(row: Mapping, summary: Summary, keys: Sequence[str]) -> list[str]:
    cell, texts = row['sets'][summary['columns'][0].key], []
    for key in keys:
        texts += [_number(cell['means'].get(key)), _difference(cell['differences'].get(key))]
    return texts


def _compared(summary: Summary, keys: Sequence[str]) -> list[list[str]]:
    """The header and a row for each that was measured, of scores of the first column."""
    first = summary['columns'][0].key
    rows = [row for row in summary['rows'] if row['sets'][first]['seeds']]
    return [['', *_titles(keys)], *([r['label'], *_values(r, summary, keys)] for r in rows)]


def _over_images(summary: Summary) -> list[list[str]]:
    """The header and a row for each with a difference; bold where 0 is not between the ends."""
    cells = [(row['label'], row['sets'][summary['columns'][0].key]) for row in summary['rows']]
    keys = ['mIoU', *(key for key in _further(summary, '') if is_group(key))]
    rows = [
        [label, *(_ends(ends.get(key)) for key in keys)]
        for label, cell in cells
        if (ends := cell['over_images'])
    ]
    return [['', *(key.removeprefix('mIoU_').replace('_', ' ') for key in keys)], *rows]


def _ends(ends: tuple[float, float] | None) -> str:
    if ends is None:
        return '-'
    text = f'{ends[0]:+.1f} to {ends[1]:+.1f}'
    return f'**{text}**' if ends[0] * ends[1] > 0 else text


def _logged(summary: Summary) -> list[list[str]]:
    """The header and a row for each that has logged something."""
    keys = summary['logged']
    measured = [
        [row['label'], *(_significant(row['logged'].get(key)) for key in keys)]
        for row in summary['rows']
        if row['logged']
    ]
    return [['', *(key.replace('_', ' ') for key in keys)], *measured]


def _difference(value: Statistic | None) -> str:
    """Bold where it is clear."""
    text = _number(value, sign='+')
    return f'**{text}**' if value is not None and value.clear else text


def _significant(logged: Mapping | None) -> str:
    """Of any size: three digits."""
    if logged is None:
        return '-'
    mean = logged['mean']
    digits = max(2 - math.floor(math.log10(abs(mean.mean))), 0) if mean.mean else 0
    spread = f' ± {mean.error:.{digits}f}' if mean.error is not None else ''
    return f'{mean.mean:.{digits}f}{spread}'


def _number(value: Statistic | None, error: bool = True, sign: str = '') -> str:
    if value is None:
        return '-'
    spread = f' ± {value.error:.1f}' if error and value.error is not None else ''
    return f'{value.mean:{sign}.1f}{spread}'


def _paragraph(summary: Summary) -> str:
    """What the numbers are."""
    numbers = summary['seeds']
    if not numbers:
        return 'Nothing measured yet.'
    seeds = f'seed{"s" * (len(numbers) > 1)} {", ".join(map(str, numbers))}{_fewer(summary)}'
    lengths = ' and '.join(f'{number:,}' for number in summary['iterations'])
    spread = f'Differences are from {summary["differences_from"]}; one seed has no spread.'
    if len(numbers) > 1:
        spread = (
            f'Mean ± standard error; differences from {summary["differences_from"]} are paired by '
            'seed, bold beyond two standard errors of three seeds or more.'
        )
    if any(column.batch_norms != 'plain' for column in summary['columns']):
        spread += (
            ' AdaBN, PreciseBN: statistics of batch norms anew on the night or source images of '
            'the training; - where there are none.'
        )
    first = summary['columns'][0]
    of_set = '' if _several_sets(summary) else f' mIoU on {first.set_title}'
    where = ', '.join(summary['machines']) or 'machine unknown'
    commits = [c[:7] + ' with changes' * c.endswith('+changes') for c in summary['commits']]
    networks = ' and '.join(summary['networks'])
    return (
        f'Percent{of_set}, {seeds}, {lengths} iterations; {networks}. {spread} '
        f'Trained on {where}; commit {", ".join(commits) or "unknown"}.{_other_images(summary)}'
    )


def _other_images(summary: Summary) -> str:
    """Says so where a set did not have the same number of images in all tests."""
    found: dict[str, set[int]] = {column.test_set: set() for column in summary['columns']}
    for column in summary['columns']:
        for row in summary['rows']:
            tests = row['sets'][column.key]['seeds'].values()
            found[column.test_set] |= {test['images'] for test in tests if 'images' in test}
    return ''.join(
        f' {name} had {" or ".join(map(str, sorted(numbers)))} images: some scores are of others.'
        for name, numbers in found.items()
        if len(numbers) > 1
    )


def _markdown_table(grid: Sequence[Sequence[str]]) -> str:
    rule = ['---', *['---:'] * (len(grid[0]) - 1)]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in (grid[0], rule, *grid[1:]))


def _latex_cell(cell: str) -> str:
    number = re.fullmatch(r'(\**)([-+]?[\d.]+( ± [\d.]+)?)\**', cell)
    if number is not None:
        text = number[2].replace('±', '\\pm')
        return f'$\\mathbf{{{text}}}$' if number[1] else f'${text}$'
    return ''.join(_LATEX.get(character, character) for character in cell)
