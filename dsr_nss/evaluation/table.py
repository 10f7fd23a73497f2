"""Scores as text."""

from collections.abc import Mapping
from typing import Any

from dsr_nss.visualization.text_table import text_table

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
        elif is_further(score):
            further.append(score)
    means = ['mIoU', 'mIoU_official']
    blocks = [list(dict.fromkeys(scores)) for scores in (classes, groups, means, further)]
    rows = [
        [
            [score_title(score), *(_cell(results, f'{name}/{score}') for name in sets)]
            for score in block
        ]
        for block in blocks
    ]
    return text_table(['', *sets], *rows)


def is_further(score: str) -> bool:
    """Whether a score is neither an IoU nor a mean of IoUs."""
    return score in _FURTHER or score.startswith(_RECALL)


def score_title(score: str) -> str:
    """What a score is called in tables, by its key without the set's name."""
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
