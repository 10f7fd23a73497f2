"""The bootstrap over images."""

from pathlib import Path

import numpy as np
import pytest

from dsr_nss.errors import DataError
from dsr_nss.evaluation.bootstrap import paired_bootstrap
from dsr_nss.evaluation.iou import iou_scores
from dsr_nss.evaluation.score import score_against
from tests.datasets.tiny_sets import write_label

CLASSES = ('road', 'car')


def matrices(right, count):
    """Images of 100 pixels of each class, of which so many are right."""
    return [np.array([[r, 100 - r], [100 - r, r]]) for r in right for _ in range(count)]


def test_equal_predictions_differ_by_nothing_in_every_draw():
    same = matrices((90, 50, 20), 4)
    found = paired_bootstrap([same], [same], CLASSES, draws=50)
    assert found and set(found.values()) == {0.0}


def test_difference_and_spread():
    """Image by image 20 pixels better: the same images for both make the spread small.

    The expected spread is that of the mean of independent images, by the delta method: IoU is
    r / (200 - r) of the mean r, with the derivative 200 / (200 - r)^2.
    """
    first, second = matrices((80, 60, 40), 40), matrices((60, 40, 20), 40)
    found = paired_bootstrap([first], [second], CLASSES, draws=2000)
    difference = 100 * (60 / 140 - 40 / 160)
    assert found['difference/mIoU'] == pytest.approx(difference)
    assert found['difference/mIoU'] == pytest.approx(
        iou_scores(sum(first), CLASSES).mean - iou_scores(sum(second), CLASSES).mean
    )
    error_of_mean = np.std((80, 60, 40)) / np.sqrt(120)
    expected = 100 * (200 / 140**2 - 200 / 160**2) * error_of_mean
    assert found['difference_error/mIoU'] == pytest.approx(expected, rel=0.1)
    assert found['difference_low/mIoU'] < difference < found['difference_high/mIoU']
    width = found['difference_high/mIoU'] - found['difference_low/mIoU']
    assert width == pytest.approx(2 * 1.96 * expected, rel=0.15)
    # with other images for the two it would be ten times as large
    apart = paired_bootstrap([first], [second[::-1]], CLASSES, draws=500)
    assert apart['difference_error/mIoU'] > 5 * found['difference_error/mIoU']
    assert found == paired_bootstrap([first], [second], CLASSES, draws=2000)


def test_a_group_is_averaged_over_the_draws_that_have_it():
    """Two images, one with the car: a fourth of the draws has no dynamic class."""
    road, car = np.array([[9, 0], [0, 0]]), np.array([[5, 0], [4, 4]])
    found = paired_bootstrap([[road, car]], [[road, car * 2 // 2]], CLASSES, draws=200)
    assert found['difference/mIoU_dynamic'] == found['difference_error/mIoU_dynamic'] == 0
    assert 'difference/mIoU_small' not in found


def test_runs_are_paired_and_their_differences_averaged():
    """Two runs: 20 pixels better, and 10 worse; each draw is of the same images for all four."""
    first = [matrices((80, 60, 40), 10), matrices((50, 40, 30), 10)]
    second = [matrices((60, 40, 20), 10), matrices((60, 50, 40), 10)]
    found = paired_bootstrap(first, second, CLASSES, draws=300)
    pairs = [
        paired_bootstrap([a], [b], CLASSES, draws=300) for a, b in zip(first, second, strict=True)
    ]
    for key in ('difference/mIoU', 'difference/mIoU_dynamic'):
        assert found[key] == pytest.approx(sum(pair[key] for pair in pairs) / 2)
    assert found['difference_error/mIoU'] < max(p['difference_error/mIoU'] for p in pairs)
    other_order = paired_bootstrap(first, second[::-1], CLASSES, draws=300)
    assert other_order['difference/mIoU'] == pytest.approx(found['difference/mIoU'])
    with pytest.raises(ValueError):
        paired_bootstrap(first, second[:1], CLASSES)


def test_one_matrix_at_a_time_gives_the_same():
    """Drawn by hand: what `iou_scores` says of the sums of the drawn images."""
    rng = np.random.default_rng(3)
    first, second = rng.integers(0, 50, (2, 7, 2, 3))
    found = paired_bootstrap([first], [second], CLASSES, draws=40, seed=5)
    times = np.random.default_rng(5).multinomial(7, np.full(7, 1 / 7), size=40)
    by_hand = [
        iou_scores(np.tensordot(t, first, 1), CLASSES).mean
        - iou_scores(np.tensordot(t, second, 1), CLASSES).mean
        for t in times
    ]
    assert found['difference_error/mIoU'] == pytest.approx(np.std(by_hand, ddof=1))
    assert found['difference_low/mIoU'] == pytest.approx(np.percentile(by_hand, 2.5))


def test_folders(tmp_path):
    label = np.concatenate([np.zeros((4, 8), int), np.full((4, 8), 13)])
    for name in 'ab':
        write_label(tmp_path / f'labels/{name}_gt_labelTrainIds.png', label)
        write_label(tmp_path / f'good/{name}.png', label)
        write_label(tmp_path / f'poor/{name}.png', np.zeros_like(label))
    options = dict(workers=1, progress=False)
    folders = [tmp_path / name for name in ('good', 'poor', 'labels')]
    found = score_against(*folders, **options)
    assert found['difference/mIoU'] == pytest.approx(100 - 25)
    assert found['difference_error/mIoU'] == pytest.approx(0)
    for name in 'ab':
        write_label(folders[2] / f'{name}_gt_labelTrainIds.png', np.full_like(label, 255))
    with pytest.raises(DataError, match='hold no pixel of any class'):
        score_against(*folders, **options)


def test_images_are_paired_however_the_folders_are_laid_out(tmp_path):
    """By their paths the labels come in another order than by their stems."""
    for name, wrong in (('b/1', 0), ('a/2', 6)):
        label = np.repeat([0, 13], 4)[:, None].repeat(8, axis=1)
        write_label(tmp_path / f'labels/{name}.png', label)
        prediction = np.where(np.arange(8) < wrong, 1, label)
        write_label(tmp_path / f'deep/{name}.png', prediction)
        write_label(tmp_path / f'flat/{Path(name).name}.png', prediction)
    folders = [tmp_path / name for name in ('deep', 'flat', 'labels')]
    found = score_against(*folders, workers=1, progress=False)
    assert found and set(found.values()) == {0.0}
