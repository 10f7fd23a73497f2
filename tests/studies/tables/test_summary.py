"""Statistics against hand-checked cases."""

import math

import pytest

from dsr_nss.studies.tables.means import Statistic, statistic
from dsr_nss.studies.tables.rows import table
from dsr_nss.studies.tables.summary import compared_row, paired_difference


def test_mean_and_standard_error():
    result = statistic([1.0, 2.0, 3.0])  # s = 1
    assert result.mean == 2.0 and result.count == 3
    assert result.error == pytest.approx(1 / math.sqrt(3), abs=1e-15)
    assert statistic([4.0]) == Statistic(4.0, None, 1)
    assert statistic([]) is None


def test_differences_are_paired_by_seed():
    row = {0: {'mIoU': 3.0}, 1: {'mIoU': 5.0}, 2: {'mIoU': 40.0}}
    above = {1: {'mIoU': 2.0}, 0: {'mIoU': 1.0}, 7: {'mIoU': 9.0}}
    result = paired_difference(row, above)  # 2 and 3; s = sqrt(1/2)
    assert (result.mean, result.count) == (2.5, 2)
    assert result.error == pytest.approx(0.5, abs=1e-15)
    assert paired_difference(row, {7: {'mIoU': 9.0}}) is None


def test_a_common_shift_of_all_rows_of_a_seed_does_not_hide_a_difference():
    above = {seed: {'mIoU': 10.0 * seed} for seed in range(3)}
    row = {seed: {'mIoU': 10.0 * seed + 1} for seed in range(3)}
    assert paired_difference(row, above) == Statistic(1.0, 0.0, 3)
    assert paired_difference(row, above).clear


@pytest.mark.parametrize(
    ('value', 'clear'),
    [
        (Statistic(2.0, 1.0, 3), False),  # exactly two standard errors
        (Statistic(2.1, 1.0, 3), True),
        (Statistic(-2.1, 1.0, 3), True),
        (Statistic(9.0, 0.1, 2), False),  # the spread of two says little
        (Statistic(9.0, None, 1), False),
    ],
)
def test_within_two_standard_errors_is_no_difference(value, clear):
    assert value.clear == clear


def test_the_row_above_is_the_one_above_that_was_trained_in_the_same_group():
    one = table('1', 'real')
    above = {row.name: other for row in one.rows if (other := compared_row(one, row)) is not None}
    assert above['classmix_refinenet'] == 'source_only_refinenet'  # others' works between them
    assert 'source_only_deeplabv2' not in above and '' not in above
    assert 'classmix_hrda' not in above  # another start than the row above
    assert 'classmix_hrda' in {row.name for row in one.rows}
    choices = table('choices', 'real')
    first = [compared_row(choices, row) for row in choices.rows[:3]]
    assert first == [None, 'dsr_hrda', 'dsr_hrda']
