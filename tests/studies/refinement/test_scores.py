"""Scores of pseudo-labels, counted by hand."""

import numpy as np
import pytest

from dsr_nss.studies.refinement.scores import Tally, confidence_bins, flat_results, format_worth
from dsr_nss.studies.refinement.views import Refined

#: road 0, building 2 (large static), pole 5 (small), car 13 (dynamic)
TRUTH = np.array([[0, 0, 0, 2], [5, 5, 13, 255]], np.uint8)
ALONE = Refined(
    np.array([[0, 0, 2, 2], [0, 0, 13, 0]]),
    np.array([[0.95, 1.0, 0.35, 0.30], [0.05, 0.12, 0.95, 0.99]], np.float32),
)
REFINED = Refined(
    np.array([[0, 0, 0, 0], [5, 0, 13, 0]]),
    np.array([[0.95, 1.0, 0.75, 0.79], [0.45, 0.12, 0.95, 0.99]], np.float32),
    aligned=True,
)


@pytest.fixture
def tallies():
    tallies = {'none': Tally(), 'identity': Tally()}
    tallies['none'].add(ALONE, ALONE, TRUTH)
    tallies['identity'].add(REFINED, ALONE, TRUTH)
    return tallies


def test_accuracies_and_ious(tallies):
    none, identity = (tallies[name].scores() for name in tallies)
    # right: two roads, building, car of seven labelled pixels
    assert none['pixel_accuracy'] == pytest.approx(100 * 4 / 7)
    assert none['accuracy_large_static'] == pytest.approx(100 * 3 / 4)
    assert none['accuracy_small'] == 0
    assert none['accuracy_dynamic'] == 100
    # road: 2 of 3 + 2 poles; building: 1 of 2; pole 0; car 1
    assert none['IoU/road'] == pytest.approx(100 * 2 / 5)
    assert none['mIoU_large_static'] == pytest.approx(100 * (2 / 5 + 1 / 2) / 2)
    assert none['mIoU'] == pytest.approx(100 * (2 / 5 + 1 / 2 + 0 + 1) / 4)
    assert none['IoU/bus'] is None
    assert identity['pixel_accuracy'] == pytest.approx(100 * 5 / 7)
    assert identity['mIoU_small'] == pytest.approx(100 / 2)


def test_what_the_day_changed(tallies):
    none, identity = (tallies[name].scores() for name in tallies)
    assert none['corrected'] == none['spoiled'] == 0
    assert identity['corrected'] == pytest.approx(100 * 2 / 7)  # a road, a pole
    assert identity['spoiled'] == pytest.approx(100 * 1 / 7)  # the building


def test_accuracy_by_confidence(tallies):
    scores = tallies['none'].scores()
    by_bin = {
        name.split('/')[1]: (value, scores[name.replace('share', 'accuracy')])
        for name, value in scores.items()
        if name.endswith('/share')
    }
    assert len(by_bin) == 10
    # 0.95, 1.0 and 0.95 of the car; 0.99 is not labelled
    assert by_bin['0.90-1.00'] == (pytest.approx(300 / 7), 100)
    assert by_bin['0.30-0.40'] == (pytest.approx(200 / 7), 50)
    assert by_bin['0.00-0.10'] == (pytest.approx(100 / 7), 0)
    assert by_bin['0.50-0.60'] == (0, None)
    assert sum(share for share, _ in by_bin.values()) == pytest.approx(100)


def test_views_without_alignment():
    tally = Tally()
    for aligned in (True, False, False, True):
        tally.add(Refined(REFINED.label, REFINED.confidence, aligned), ALONE, TRUTH)
    assert tally.scores()['unaligned'] == 50


def test_flat_result_and_tables(tallies):
    results = {'pairs': 1} | flat_results(tallies)
    assert list(confidence_bins(results)) == ['none', 'identity']
    bins = confidence_bins(results)['identity']
    assert bins[0] == (0.0, 0.1, None, 0.0) and bins[-1][:3] == (0.9, 1.0, 100.0)
    assert len(bins) == 10
    lines = format_worth(results).splitlines()
    assert lines[0].split() == ['none', 'identity']

    def cells(start, after=''):
        first = next((i for i, line in enumerate(lines) if line.startswith(after)), 0)
        return next(line for line in lines[first:] if line.startswith(start)).split()[-2:]

    assert cells('pixel accuracy') == ['57.14', '71.43']
    assert cells('  of large static') == ['75.00', '75.00']
    # refined: 3 of 5 roads, no building
    assert cells('  of large static', 'mIoU') == ['45.00', '30.00']
    assert cells('views') == ['-', '0.00']
    row = next(line for line in lines if line.startswith('0.30 to 0.40'))
    assert row.split()[3:] == ['50.00', '(28.6)', '-', '(0.0)']


def test_nothing_labelled_is_an_error():
    with pytest.raises(ValueError, match='no pixel of any class'):
        Tally().scores()
