"""What the trainings of a table logged: means over seeds, along the training."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from dsr_nss.engine.log_processor import MEASURED
from dsr_nss.studies.tables.means import statistic
from dsr_nss.visualization.curves import Scalars, read_scalars, series

#: Colours of more rows than can be told apart by one ink; Okabe and Ito, then Tol.
_COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#8a8f98', '#332288')


def logged_values(folders: Sequence[Path], keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Scalars of the runs of one row.

    Args:
        folders: Work dirs, one for each seed.
        keys: Names in their logs.

    Returns:
        For each name that a run has logged: `mean`, the `Statistic` over seeds of the mean over the
        lines of the log; and `steps`, the mean over seeds at each step that every seed has logged.
        Of what is measured now and then, a line that shows the last measurement again does not
        count; nor does one that is infinite or nan, as half precision may give.
    """
    runs = [read_scalars(folder) for folder in folders if keys]  # a converted network has no log
    values: dict[str, dict[str, Any]] = {}
    for key in keys:
        lines = [zip(*series(_measured(run, key), key), strict=True) for run in runs]
        seeds = [
            finite for line in lines if (finite := {s: v for s, v in line if math.isfinite(v)})
        ]
        if seeds:
            common = sorted(set.intersection(*(set(seed) for seed in seeds)))
            values[key] = {
                'mean': statistic([sum(seed.values()) / len(seed) for seed in seeds]),
                'steps': {step: sum(s[step] for s in seeds) / len(seeds) for step in common},
            }
    return values


def _measured(run: Scalars, key: str) -> Scalars:
    """Without the lines that show the last measurement again: all values of its kind are equal."""
    kinds = [kind for kind in MEASURED if key.startswith(kind)]
    if not kinds:
        return run
    lines: Scalars = []
    last: dict[str, float] = {}
    for line in run:
        values = {name: value for name, value in line.items() if name.startswith(kinds[0])}
        if values and values != last:
            lines.append(line)
            last = values
    return lines


def logged_figure(rows: Sequence[dict[str, Any]], keys: Sequence[str], title: str) -> Figure:
    """A panel for each name, and in it a line for each row, over steps.

    Args:
        rows: The rows of a `Summary`.
        keys: Names in their logs.
        title: What stands above.
    """
    figure = Figure(figsize=(0.6 + 3.4 * len(keys), 3.9), layout='constrained')
    panels = figure.subplots(1, len(keys), squeeze=False)[0]
    lines: dict[str, Any] = {}
    for axes, key in zip(panels, keys, strict=True):
        for i, row in enumerate(rows):
            if key in row['logged']:
                steps = row['logged'][key]['steps']
                again, colour = divmod(i, len(_COLOURS))  # dashed: the colours begin anew
                style = dict(color=_COLOURS[colour], linestyle='--' if again else '-', lw=1.6)
                (lines[row['label']],) = axes.plot(list(steps), list(steps.values()), **style)
        axes.set_title(key.replace('_', ' '), fontsize=10)
        axes.set_xlabel('iteration')
        axes.grid(axis='y', alpha=0.4)
        axes.spines[['top', 'right']].set_visible(False)
    figure.suptitle(title, x=0.01, ha='left', fontsize=11)
    if lines:
        figure.legend(
            lines.values(),
            lines.keys(),
            loc='outside lower left',
            ncols=2,
            frameon=False,
            fontsize=9,
        )
    return figure
