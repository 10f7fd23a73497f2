"""Curves of training runs from the scalars that mmengine writes."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from dsr_nss.errors import DataError

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
        DataError: A line other than the last of a file is damaged.
    """
    run = Path(run)
    files = [run] if run.is_file() else sorted(run.glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(f'no scalars.json below {run}: has it been trained?')
    lines: Scalars = []
    for file in files:
        part = _read_lines(file)
        if part:
            first = min(line['step'] for line in part)
            lines = [line for line in lines if line['step'] < first] + part
    if not lines:
        raise FileNotFoundError(f'{files[-1]} is empty: the run has logged nothing yet')
    return lines


def _read_lines(file: Path) -> Scalars:
    """All but a last line that a full disk or a power failure has cut off.

    Raises:
        DataError: Another line is damaged.
    """
    lines = [line for line in file.read_text().splitlines() if line.strip()]
    scalars = []
    for number, line in enumerate(lines, 1):
        try:
            scalars.append(json.loads(line))
        except ValueError as error:
            if number < len(lines):
                raise DataError(f'{file}: line {number} is damaged ({error})') from error
    return scalars


def series(scalars: Scalars, name: str) -> Series:
    """Steps and values of one scalar."""
    pairs = [(line['step'], line[name]) for line in scalars if line.get(name) is not None]
    return [step for step, _ in pairs], [value for _, value in pairs]


def curve_figure(runs: Sequence[Scalars], key: str, dark: bool = False) -> Figure:
    """A scalar over iterations, one line for each run that has it.

    Args:
        runs: The scalars of each run; the position gives the colour.
        key: Name of the scalar, e.g. `loss_source` or `dark_zurich_val/mIoU`.
        dark: Light ink for a dark page; the background is transparent.
    """
    with _style(dark):
        figure = Figure(figsize=(4.6, 2.8), layout='constrained')
        axes = figure.subplots()
        for position, scalars in enumerate(runs):
            steps, values = series(scalars, key)
            marker = 'o' if len(steps) < 12 else None
            colour = LINE_COLOURS[position % len(LINE_COLOURS)]
            if steps:
                axes.plot(steps, values, color=colour, marker=marker, markersize=4)
        unit = ', %' if key.endswith('mIoU') else ''
        axes.set_title(f'{key.replace("/", " ")}{unit}')
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        axes.set_xlabel('iteration')
        axes.grid(axis='y')
    return figure


def to_svg(figure: Figure) -> bytes:
    """The figure as an SVG file with a transparent background."""
    buffer = io.BytesIO()
    # a date or random ids would make every report differ
    with rc_context({'svg.hashsalt': 'dsr_nss'}):
        figure.savefig(buffer, format='svg', transparent=True, metadata={'Date': None})
    return buffer.getvalue()


def to_png(figure: Figure, dpi: int) -> bytes:
    """The figure as a PNG file with a white background; equal for equal figures."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=dpi, facecolor='white')
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
