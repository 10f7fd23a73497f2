"""Pictures of alignments: one of each pair, and the sparsification curve."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, hsv_to_rgb
from matplotlib.figure import Figure

from dsr_nss.matching.evaluate import Match
from dsr_nss.matching.measures import Sparsification
from dsr_nss.visualization.curves import LINE_COLOURS

#: Rows and columns of a legend of flow colours.
_WHEEL = 41


def flow_colours(flow: np.ndarray, longest: float) -> np.ndarray:
    """The usual colours of a flow: direction is hue, length is saturation.

    Args:
        flow: `(2, H, W)` in pixels, x first.
        longest: Length in pixels of full saturation.

    Returns:
        `(H, W, 3)` uint8 RGB; no motion is white, to the right is red.
    """
    angle = np.arctan2(flow[1], flow[0]) / (2 * np.pi) % 1
    length = np.clip(np.hypot(flow[0], flow[1]) / max(longest, 1e-6), 0, 1)
    colours = hsv_to_rgb(np.stack([angle, length, np.ones_like(angle)], -1))
    return np.round(255 * colours).astype(np.uint8)


def pair_figure(match: Match, warped: np.ndarray) -> Figure:
    """What an aligner made of a pair.

    Args:
        match: The aligned pair.
        warped: `(H, W, 3)` uint8, the reference at the places of the target; 0 where it shows none.
    """
    flow, error = match.flow, match.error
    height, width = match.confidence.shape
    row = 4.6 * height / width
    figure = Figure(figsize=(14.4, 2 * row + 1.0), layout='constrained')
    axes = figure.subplots(2, 3).ravel()
    mean = f': end-point error {error.mean():.1f} px' if len(error) else ''
    figure.suptitle(f'{match.name}{mean}')
    longest = float(np.percentile(np.hypot(flow[0], flow[1]), 99)) or 1.0
    pictures = (
        ('target', match.target),
        ('reference', match.reference),
        ('reference, warped (cyan), over the target (red)', _blend(match.target, warped)),
    )
    for ax, (title, picture) in zip(axes[:3], pictures, strict=True):
        _show(ax, title, picture)
    _show(axes[3], f'flow; full colour: {longest:.0f} px', flow_colours(flow, longest))
    _wheel(axes[3])
    _show(axes[4], 'confidence', match.confidence, cmap='viridis', vmin=0, vmax=1)
    _bar(figure, axes[4], 'viridis', 1, 'P(error < 1 px)')
    _errors(figure, axes[5], match.points, error, (height, width))
    return figure


def _blend(target: np.ndarray, warped: np.ndarray) -> np.ndarray:
    """Structure of the night in red, of the day in cyan: grey where they agree."""
    layers = [_stretched(picture) for picture in (target, warped)]
    return np.stack([layers[0], layers[1], layers[1]], -1)


def _stretched(picture: np.ndarray) -> np.ndarray:
    grey = picture.astype(np.float64).mean(-1)
    low, high = np.percentile(grey, (1, 99))
    # a night's few lamps would leave all else black
    bright = np.clip((grey - low) / max(high - low, 1), 0, 1) ** 0.6
    return np.round(255 * bright).astype(np.uint8)


def _show(ax: Axes, title: str, picture: np.ndarray, **kwargs) -> None:
    ax.imshow(picture, interpolation='nearest', **kwargs)
    ax.set_title(title, fontsize=10, loc='left')
    ax.set_axis_off()


def _bar(
    figure: Figure, ax: Axes, colours: str, highest: float, label: str, extend: str = 'neither'
) -> None:
    scale = ScalarMappable(Normalize(0, highest), colours)
    # below: beside a picture it would leave a gap in the row above
    figure.colorbar(scale, ax=ax, label=label, location='bottom', aspect=40, extend=extend)


def _wheel(ax: Axes) -> None:
    """A legend: the colour of each direction."""
    inset = ax.inset_axes((0.86, 0.04, 0.12, 0.24), xticks=[], yticks=[])
    radius = _WHEEL // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1] / radius
    colours = flow_colours(np.stack([x, y]), 1.0)
    inset.imshow(np.where((np.hypot(x, y) <= 1)[..., None], colours, 255).astype(np.uint8))


def _errors(
    figure: Figure, ax: Axes, points: np.ndarray, error: np.ndarray, size: tuple[int, int]
) -> None:
    """A map of the errors: grey where the true flow is not known; dots for sparse points."""
    title, highest = 'end-point error', 20.0
    if len(points) * 20 > math.prod(size):
        picture = np.full(size, np.nan)
        rows, columns = (points[:, i].round().astype(int).clip(0, size[1 - i] - 1) for i in (1, 0))
        picture[rows, columns] = error
        ax.imshow(np.full((*size, 3), 0.8), interpolation='nearest')
        _show(ax, title, picture, cmap='magma', vmin=0, vmax=highest)
    else:
        _show(ax, title, np.full((*size, 3), 0.8))
        ax.scatter(points[:, 0], points[:, 1], c=error, cmap='magma', vmin=0, vmax=highest, s=9)
    _bar(figure, ax, 'magma', highest, 'px', extend='max')


def sparsification_figure(regions: Mapping[str, Sparsification]) -> Figure:
    """Curve, oracle and random order, one panel for each region.

    Args:
        regions: Name of a region -> its curves.
    """
    figure = Figure(figsize=(5.2 * len(regions), 3.6), layout='constrained')
    panels = figure.subplots(1, len(regions), squeeze=False)[0]
    for ax, (region, curves) in zip(panels, regions.items(), strict=True):
        percent = 100 * curves.fractions
        ax.axhline(1, color=LINE_COLOURS[0], linestyle='--', label='random order')
        ax.plot(percent, curves.curve, color=LINE_COLOURS[1], label='by confidence')
        ax.plot(percent, curves.oracle, color=LINE_COLOURS[2], label='oracle: by error')
        ax.fill_between(percent, curves.oracle, curves.curve, color=LINE_COLOURS[1], alpha=0.12)
        ax.set_title(f'{region} points: AUSE {curves.ause:.2f}', loc='left', fontsize=11)
        ax.set_xlabel('removed, % of the points')
        ax.set_ylabel('error of the rest / of all')
        ax.set_xlim(0, percent[-1])
        ax.set_ylim(bottom=0)
        ax.spines[['top', 'right']].set_visible(False)
        ax.legend(frameon=False, fontsize=9)
    return figure
