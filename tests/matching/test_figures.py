"""Colours of a flow, and figures that draw what they are given."""

import numpy as np
import pytest

from dsr_nss.matching.evaluate import Match
from dsr_nss.matching.figures import flow_colours, pair_figure, sparsification_figure
from dsr_nss.matching.measures import FRACTIONS, Sparsification


def test_colours_by_hand():
    # none, to the right, to the left at half length, far beyond the longest to the right
    flow = np.array([[[0, 4, -2, 40]], [[0, 0, 0, 0]]], float)
    colours = flow_colours(flow, 4.0)[0].tolist()
    assert colours == [[255, 255, 255], [255, 0, 0], [128, 255, 255], [255, 0, 0]]


@pytest.mark.parametrize('points', [3, 24 * 32])
def test_a_pair_has_six_panels(points):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    places = np.stack(np.meshgrid(np.arange(32), np.arange(24)), -1).reshape(-1, 2)[:points]
    match = Match(
        name='frame',
        target=image,
        reference=image,
        flow=rng.normal(size=(2, 24, 32)),
        confidence=rng.random((24, 32)),
        points=places.astype(float),
        error=np.full(points, 2.0),
    )
    figure = pair_figure(match, image)
    titles = [ax.get_title(loc='left') for ax in figure.axes[:6]]
    assert titles[0] == 'target' and titles[-1] == 'end-point error'
    assert '2.0 px' in figure.get_suptitle()
    figure.draw_without_rendering()
    lefts = [ax.get_position().x0 for ax in figure.axes[:3]]
    assert lefts[1] - lefts[0] == pytest.approx(lefts[2] - lefts[1], rel=0.05)  # no gap


def test_curves_are_drawn_with_their_oracle():
    curves = Sparsification(FRACTIONS, 1 - FRACTIONS / 2, 1 - FRACTIONS)
    figure = sparsification_figure({'all': curves, 'visible': curves})
    assert len(figure.axes) == 2
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert np.array_equal(lines['by confidence'], curves.curve)
    assert np.array_equal(lines['oracle: by error'], curves.oracle)
