"""End-point error, PCK and sparsification against plain float64 loops and cases done by hand."""

import numpy as np
import pytest

from dsr_nss.matching.measures import FRACTIONS, AlignmentScores, Sparsification, sparsification
from tests.reference.alignment import aepe, area, pck, sparsification_curve


def test_by_hand():
    # four pixels; errors 0 2 4 6, the doubt is right about the worst one only
    scores = AlignmentScores()
    scores.add(np.array([0.0, 2, 4, 6]), np.array([0.3, 0.1, 0.2, 0.9]))
    assert scores.aepe == 3 and scores.pixels == 4
    assert scores.pck == {1.0: 25.0, 3.0: 50.0, 5.0: 75.0}
    curves = scores.sparsification
    quarter, half, three = (int(i * 20) for i in (0.25, 0.5, 0.75))
    # left without 6: (0+2+4)/3 = 2 of 3; then without the 0 (doubt 0.3): (2+4)/2 = 3; then 2
    assert curves.curve[[0, quarter, half, three]] == pytest.approx([1, 2 / 3, 1, 2 / 3])
    assert curves.oracle[[0, quarter, half, three]] == pytest.approx([1, 2 / 3, 1 / 3, 0])


@pytest.mark.parametrize('count', [1, 7, 90, 100, 333])
def test_curves_equal_the_reference(count):
    rng = np.random.default_rng(count)
    error, doubt = rng.exponential(3, count), rng.random(count)
    curve, oracle = sparsification(error, doubt)
    assert curve == pytest.approx(sparsification_curve(error, doubt), rel=1e-12)
    assert oracle == pytest.approx(sparsification_curve(error, error), rel=1e-12)


def test_ties_do_not_depend_on_their_order():
    # one certain pixel without error, three equally doubted ones: 6 and two without error
    for errors in ([0.0, 6, 0, 0], [0.0, 0, 0, 6]):
        curve, _ = sparsification(np.array(errors), np.array([0.0, 1, 1, 1]))
        # each of the three counts 2: (0 + 2 + 2) / 3 of 1.5, (0 + 2) / 2, 0
        assert curve[[0, 5, 10, 15]] == pytest.approx([1, 4 / 4.5, 1 / 1.5, 0])


def test_sums_over_images_equal_the_reference():
    rng = np.random.default_rng(0)
    images = [rng.exponential(3, count) for count in (5, 40, 333)]
    doubts = [error + rng.exponential(3, len(error)) for error in images]
    scores = AlignmentScores()
    for error, doubt in zip(images, doubts, strict=True):
        scores.add(error, doubt)
    assert scores.aepe == pytest.approx(aepe(images), rel=1e-12)
    for threshold in (1.0, 3.0, 5.0):
        assert scores.pck[threshold] == pytest.approx(pck(images, threshold), rel=1e-12)
    pairs = list(zip(images, doubts, strict=True))
    ause = [area(sparsification_curve(e, d)) - area(sparsification_curve(e, e)) for e, d in pairs]
    assert scores.sparsification.ause == pytest.approx(np.mean(ause), rel=1e-9)


def test_images_count_alike_in_aepe_and_pixels_in_pck():
    scores = AlignmentScores()
    scores.add(np.zeros(9), np.zeros(9))
    scores.add(np.array([10.0]), np.zeros(1))
    scores.add(np.zeros(0), np.zeros(0))
    assert (scores.images, scores.aepe, scores.pck[5.0]) == (2, 5.0, 90.0)
    # a perfect image has no curve, nor has one without any doubt
    assert scores.sparsification is None
    scores.add(np.array([1.0, 3.0]), np.array([0.0, 1.0]))
    assert scores.sparsification.curve[[0, -1]] == pytest.approx([1, 0.5])


def test_areas_of_a_perfect_a_random_and_a_wrong_doubt():
    rng = np.random.default_rng(0)
    error = rng.exponential(3, 20000)
    areas = {}
    for name, doubt in (('right', error), ('random', rng.random(20000)), ('wrong', -error)):
        scores = AlignmentScores()
        scores.add(error, doubt)
        areas[name] = scores.sparsification
    assert areas['right'].ause == 0
    assert areas['random'].area == pytest.approx(1, abs=0.03)
    assert areas['wrong'].area > 1 > areas['right'].area


def test_area_of_a_straight_line():
    falling = Sparsification(FRACTIONS, 1 - FRACTIONS, np.zeros(20))
    assert falling.area == pytest.approx(1 - 0.475) and falling.ause == falling.area


def test_empty_scores_and_numbers_that_are_not_finite():
    scores = AlignmentScores()
    assert scores.flat('x')['x/AEPE'] is None and scores.sparsification is None
    for error, doubt in (([np.nan], [0.0]), ([0.0], [np.inf])):
        with pytest.raises(ValueError, match='not finite'):
            scores.add(np.array(error), np.array(doubt))
