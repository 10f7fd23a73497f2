"""Pictures of refined pseudo-labels show what was given."""

import numpy as np
import pytest

from dsr_nss.studies.refinement.figures import (
    CORRECTED,
    SPOILED,
    STILL_WRONG,
    TILE_WIDTH,
    UNCHANGED,
    accuracy,
    change_picture,
    confidence_figure,
    view_picture,
)
from dsr_nss.studies.refinement.scores import Bin
from dsr_nss.studies.refinement.views import Pair, Refined
from dsr_nss.visualization.colours import IGNORE_COLOUR

TRUTH = np.array([[0, 0, 1, 1, 255]], np.uint8)
ALONE = np.array([[0, 1, 1, 0, 0]])
REFINED = np.array([[0, 0, 0, 0, 1]])


def test_changes_by_hand():
    picture = change_picture(TRUTH, ALONE, REFINED)
    expected = [UNCHANGED, CORRECTED, SPOILED, STILL_WRONG, IGNORE_COLOUR]
    assert picture[0].tolist() == [list(colour) for colour in expected]


def test_accuracy_leaves_ignored_pixels_out():
    assert accuracy(TRUTH, ALONE) == '50.0 %'
    assert accuracy(np.full((1, 2), 255), np.zeros((1, 2))) == '-'


def test_view_has_a_column_for_the_truth_and_each_aligner():
    size = (12, 24)
    night, day, warped = (np.full((*size, 3), value, np.uint8) for value in (10, 200, 120))
    truth, alone, refined = np.zeros(size, np.uint8), np.ones(size, int), np.zeros(size, int)
    alone[:, :12] = 0
    sure = np.ones(size)
    results = {
        'no reference': Refined(alone, sure),
        'identity': Refined(refined, sure, True, warped),
    }
    picture = view_picture(Pair('frame', night, day, truth), results)
    assert picture.shape[1] == 3 * TILE_WIDTH + 4 * 8
    middle = [8 + TILE_WIDTH // 4 + i * (TILE_WIDTH + 8) for i in range(3)]
    right = [x + TILE_WIDTH // 2 for x in middle]
    rows = [row for row in range(len(picture)) if tuple(picture[row, middle[0]]) == (10, 10, 10)]
    assert len(rows) == TILE_WIDTH // 2
    assert tuple(picture[rows[5], middle[1]]) == (200, 200, 200)
    assert tuple(picture[rows[5], middle[2]]) == (120, 120, 120)
    changes = rows[5] + 2 * (TILE_WIDTH // 2 + 8)
    assert tuple(picture[changes, right[1]]) == STILL_WRONG
    assert tuple(picture[changes, middle[2]]) == UNCHANGED
    assert tuple(picture[changes, right[2]]) == CORRECTED


def test_curves_leave_out_what_is_chance():
    def bins(low, high):
        return [Bin(0.0, 0.5, *low), Bin(0.5, 1.0, *high)]

    figure = confidence_figure(
        {
            'no reference': bins((40.0, 20.0), (90.0, 80.0)),
            'identity': bins((100.0, 0.05), (95.0, 99.95)),
            'true flow': bins((None, 0.0), (97.0, 100.0)),
        }
    )
    left, right = figure.axes
    _, none, identity, true = left.lines
    assert none.get_xydata().tolist() == [[0.25, 40.0], [0.75, 90.0]]
    assert np.isnan(identity.get_ydata()[0]) and identity.get_ydata()[1] == 95
    assert np.isnan(true.get_ydata()[0])
    assert right.lines[1].get_ydata().tolist() == pytest.approx([0.05, 99.95])
    names = [text.get_text() for text in right.get_legend().get_texts()]
    assert names == ['no reference', 'identity', 'true flow']
