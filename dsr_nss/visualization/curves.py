"""Curves of training runs from the scalars that mmengine writes."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: Colours of the first, second, ... run, distinguishable with any colour vision (Okabe and Ito).
LINE_COLOURS = ('#8a8f98', '#d55e00', '#0072b2', '#009e73', '#cc79a7', '#e69f00')

Scalars = list[dict[str, Any]]
Series = tuple[list[int], list[float]]


def read_scalars(run: str | Path) -> Scalars:
    """Everything that a run logged, in the order of its steps.

    Args:
        run: The work dir, or a `scalars.json`. A work dir that was resumed has several; where they
            overlap the later one counts.

    Raises:
        FileNotFoundError: The run has logged nothing.
    """
    run = Path(run)
    files = [run] if run.is_file() else sorted(run.glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(f'no scalars.json below {run}: has it been trained?')
    lines: Scalars = []
    for file in files:
        part = [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
        if part:
            first = min(line['step'] for line in part)
            lines = [line for line in lines if line['step'] < first] + part
    return lines


def series(scalars: Scalars, name: str) -> Series:
    """Steps and values of one scalar."""
    pairs = [(line['step'], line[name]) for line in scalars if line.get(name) is not None]
    return [step for step, _ in pairs], [value for _, value in pairs]


def miou_figure(runs: Mapping[str, Scalars], key: str, dark: bool = False) -> Figure:
    """mIoU over iterations, one line for each run.

    Args:
        runs: Title of a run -> its scalars.
        key: Name of the scalar, e.g. `dark_zurich_val/mIoU`.
        dark: Light ink for a dark page; the background is transparent.
    """
    with _style(dark):
        figure, (axes,) = _figure(1)
        for colour, (title, scalars) in zip(LINE_COLOURS, runs.items(), strict=False):
            steps, values = series(scalars, key)
            axes.plot(steps, values, marker='o', markersize=4, color=colour, label=title)
        axes.set_title(f'{key.replace("/", " ")}, %')
        axes.set_ylim(bottom=0)
        _finish(axes)
    return figure


def loss_figure(
    runs: Mapping[str, Scalars], shared: str = 'loss_source', dark: bool = False
) -> Figure:
    """Losses over iterations: left the one that all runs have, right the other terms of each run.

    Args:
        runs: Title of a run -> its scalars.
        shared: Name of the common term.
        dark: Light ink for a dark page; the background is transparent.
    """
    others = {
        (title, name): series(scalars, name)
        for title, scalars in runs.items()
        for name in sorted({k for line in scalars for k in line if k.startswith('loss_')})
        if name != shared
    }
    with _style(dark):
        figure, axes = _figure(2 if others else 1)
        for colour, (title, scalars) in zip(LINE_COLOURS, runs.items(), strict=False):
            axes[0].plot(*series(scalars, shared), color=colour, label=title)
        axes[0].set_title(shared)
        for colour, ((_, name), line) in zip(LINE_COLOURS[1:], others.items(), strict=False):
            axes[1].plot(*line, color=colour, label=name)
        if others:
            titles = dict.fromkeys(title for title, _ in others)
            axes[1].set_title(f'further terms of {", ".join(titles)}')
        for ax in axes:
            ax.set_ylim(bottom=0)
            _finish(ax)
    return figure


def to_svg(figure: Figure) -> bytes:
    """The figure as an SVG file with a transparent background."""
    return _save(figure, 'svg')


def _save(figure: Figure, kind: str, **kwargs: Any) -> bytes:
    buffer = io.BytesIO()
    # a date or random ids would make every report differ
    with rc_context({'svg.hashsalt': 'dsr_nss'}):
        metadata = {'Date': None} if kind == 'svg' else None
        figure.savefig(buffer, format=kind, transparent=True, metadata=metadata, **kwargs)
    return buffer.getvalue()


def _style(dark: bool) -> Any:
    ink, faint = ('#e8eaed', '#5f6368') if dark else ('#202124', '#bdc1c6')
    return rc_context(
        {
            'font.size': 10,
            'axes.titlesize': 11,
            'axes.titlelocation': 'left',
            'text.color': ink,
            'axes.labelcolor': ink,
            'axes.edgecolor': faint,
            'xtick.color': ink,
            'ytick.color': ink,
            'grid.color': faint,
            'grid.alpha': 0.5,
            'lines.linewidth': 1.8,
            'axes.spines.top': False,
            'axes.spines.right': False,
        }
    )


def _figure(columns: int) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(5.2 * columns, 3.0), layout='constrained')
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _finish(axes: Axes) -> None:
    axes.set_xlim(left=0)
    axes.set_xlabel('iteration')
    axes.grid(axis='y')
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)
