"""A measured table as a picture: means, spread and single seeds."""

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsr_nss.studies.tables.summary import Summary
from dsr_nss.studies.tables.table import column_titles

#: Single seeds stand so much below their mean, in rows, to be seen beside it.
SEEDS_BELOW = 0.24
_OURS, _PAPER, _FAINT = '#0072b2', '#d55e00', '#bdc1c6'


def table_figure(summary: Summary) -> Figure:
    """One panel for each column and in it one line for each row, as in the table.

    Dots are seeds, the bar is the mean with its standard error, hollow diamonds are the paper's.
    """
    rows, columns = summary['rows'], summary['columns']
    # the labels take the same room whatever the number of panels
    figure = Figure(figsize=(3.0 + 3.6 * len(columns), 1.3 + 0.3 * len(rows)), layout='constrained')
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    legend: dict[str, Any] = {}
    for axes, column, title in zip(panels, columns, column_titles(columns), strict=True):
        _draw(axes, [row['sets'][column.key] for row in rows])
        axes.set_xlabel(f'mIoU, {title}, %')
        axes.grid(axis='x', color=_FAINT, alpha=0.5)
        axes.set_axisbelow(True)
        axes.tick_params(axis='y', length=0)
        axes.spines[['top', 'right', 'left']].set_visible(False)
        for y in range(1, len(rows)):
            if rows[y]['group'] != rows[y - 1]['group']:
                axes.axhline(y - 0.5, color=_FAINT, linewidth=0.8)
        handles, labels = axes.get_legend_handles_labels()
        legend |= dict(zip(labels, handles, strict=True))
    panels[0].set_yticks(range(len(rows)), [row['label'] for row in rows])
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    figure.suptitle(summary['title'], x=0.01, ha='left', fontsize=11)
    if legend:
        figure.legend(
            legend.values(), legend.keys(), loc='outside lower left', ncols=3, frameon=False,
            fontsize=9,
        )  # fmt: skip
    return figure


def _draw(axes: Axes, cells: list[dict]) -> None:
    lines = list(enumerate(cells))
    seeds = [(s['mIoU'], y + SEEDS_BELOW) for y, cell in lines for s in cell['seeds'].values()]
    means = [(m.mean, y, m.error or math.nan) for y, cell in lines if (m := cell['mIoU'])]
    paper = [(cell['paper']['mIoU'], y) for y, cell in lines if 'paper' in cell]
    if means:
        x, heights = zip(*seeds, strict=True)
        axes.scatter(x, heights, s=16, color=_OURS, alpha=0.4, linewidths=0, label='seeds')
        x, heights, errors = zip(*means, strict=True)
        axes.errorbar(
            x, heights, xerr=errors, fmt='|', color=_OURS, markersize=13, markeredgewidth=2.2,
            elinewidth=1.6, capsize=3, label='mean ± standard error',
        )  # fmt: skip
    if paper:
        x, heights = zip(*paper, strict=True)
        label = next(f'paper, {cell["paper"]["set"]}' for cell in cells if 'paper' in cell)
        axes.scatter(
            x, heights, s=26, marker='D', facecolors='none', edgecolors=_PAPER, label=label
        )
