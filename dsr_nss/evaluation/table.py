"""Scores as text."""

from collections.abc import Mapping
from typing import Any

_FURTHER = {'boundary_IoU': 'mean boundary IoU', 'UIoU': 'UIoU'}
_RECALL = 'recall_small/'


def set_names(results: Mapping[str, Any]) -> list[str]:
    """The scored sets of a flat result, in its order."""
    return [key.removesuffix('/mIoU') for key in results if key.endswith('/mIoU')]


def format_table(results: Mapping[str, Any]) -> str:
    """A flat result as a table: rows are classes, groups, means and further measures, columns sets.

    Args:
        results: Flat result that `dsr_nss.evaluation.evaluate` returns and `tools/test.py --json`
            writes.
    """
    sets = set_names(results)
    classes: list[str] = []
    groups: list[str] = []
    further: list[str] = []
    for key in results:
        _, _, score = key.partition('/')
        if score.startswith('IoU/'):
            classes.append(score)
        elif score.startswith('mIoU_') and score != 'mIoU_official':
            groups.append(score)
        elif score in _FURTHER or score.startswith(_RECALL):
            further.append(score)
    means = ['mIoU', 'mIoU_official']
    blocks = [list(dict.fromkeys(scores)) for scores in (classes, groups, means, further)]
    first = max(len(_title(score)) for block in blocks for score in block)
    widths = [max(len(name), 6) for name in sets]
    lines = [_line('', sets, first, widths)]
    rule = '-' * len(lines[0])
    for block in filter(None, blocks):
        lines.append(rule)
        for score in block:
            cells = [_cell(results, f'{name}/{score}') for name in sets]
            lines.append(_line(_title(score), cells, first, widths))
    return '\n'.join(lines)


def _title(score: str) -> str:
    if score.startswith(_RECALL):
        return f'recall of {score.removeprefix(_RECALL)} objects'
    if score in _FURTHER:
        return _FURTHER[score]
    if score.startswith('IoU/'):
        return score.removeprefix('IoU/')
    if score in ('mIoU', 'mIoU_official'):
        return score
    return f'mean of {score.removeprefix("mIoU_").replace("_", " ")}'


def _cell(results: Mapping[str, Any], key: str) -> str:
    if key not in results:
        return ''
    return '-' if results[key] is None else f'{results[key]:.2f}'


def _line(title: str, cells: list[str], first: int, widths: list[int]) -> str:
    columns = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
    return '  '.join([title.ljust(first), *columns])
