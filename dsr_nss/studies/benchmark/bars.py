"""Stacked bars: where the time of something goes."""

import io
from collections.abc import Mapping

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: Pale to strong within a hue, so that neighbours differ for any colour vision.
_COLOURS = (
    '#0072b2', '#56b4e9', '#a6d8f2', '#009e73', '#7fd1b5', '#d55e00', '#e69f00', '#f0e442',
    '#8a8f98', '#cc79a7', '#e7bcd3', '#d0d4da',
)  # fmt: skip
#: A part narrower than this share of the longest bar is not named inside the bar.
_NAMED = 0.06


def stage_bars(bars: Mapping[str, Mapping[str, float]], unit: str) -> bytes:
    """One horizontal bar a row, its stages one after the other, as a PNG.

    Args:
        bars: Title -> stage -> amount.
        unit: Unit of the amounts, written under the axis.
    """
    stages = list(dict.fromkeys(stage for bar in bars.values() for stage in bar))
    figure = Figure(figsize=(10, 1.6 + 0.7 * len(bars)), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    longest = max(sum(bar.values()) for bar in bars.values())
    left = [0.0] * len(bars)
    for i, stage in enumerate(stages):
        widths = [bar.get(stage, 0.0) for bar in bars.values()]
        colour = _COLOURS[i % len(_COLOURS)]
        axes.barh(list(bars), widths, left=left, height=0.6, color=colour, label=stage)
        for row, width in enumerate(widths):
            if width > _NAMED * longest:
                middle = left[row] + width / 2
                axes.text(middle, row, f'{width:.3g}', ha='center', va='center', fontsize=8)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.spines[['top', 'right', 'left']].set_visible(False)
    axes.tick_params(left=False)
    figure.legend(loc='outside lower center', ncols=6, frameon=False, fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=130)
    return buffer.getvalue()
