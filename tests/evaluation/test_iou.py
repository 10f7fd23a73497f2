"""Confusion matrices and IoU: cases worked by hand, and an independent reference."""

import numpy as np
import pytest
import torch

from dsr_nss.classes import CLASSES
from dsr_nss.evaluation.iou import (
    confusion_matrix,
    flat_scores,
    iou_scores,
    mean_rates,
    occurrence_note,
)

NAMES = ('road', 'pole', 'car')


def reference_iou(pairs, num_classes):
    """IoU by the definition, with sets of pixels: {class: (iou or None, occurs)}."""
    result = {}
    for k in range(num_classes):
        inside, predicted = set(), set()
        for n, (prediction, target) in enumerate(pairs):
            for position in np.ndindex(target.shape):
                if target[position] == 255:
                    continue
                if target[position] == k:
                    inside.add((n, position))
                if prediction[position] == k:
                    predicted.add((n, position))
        union = inside | predicted
        result[k] = (len(inside & predicted) / len(union) if union else None, bool(inside))
    return result


def test_confusion_by_hand():
    target = torch.tensor([[0, 0, 1], [2, 255, 1]], dtype=torch.uint8)
    prediction = torch.tensor([[0, 1, 1], [2, 2, 0]], dtype=torch.uint8)
    matrix = confusion_matrix(prediction, target, 3)
    assert matrix.dtype == torch.int64
    assert matrix.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]


def test_scores_by_hand():
    # road: 1 right, 1 taken for pole; pole: 1 right, 1 taken for road; car: 1 right
    scores = iou_scores(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]]), NAMES)
    assert scores.classes == {'road': 100 / 3, 'pole': 100 / 3, 'car': 100.0}
    assert scores.mean == scores.official == pytest.approx(500 / 9, abs=1e-12)
    assert scores.groups == {'large_static': 100 / 3, 'dynamic': 100.0, 'small': 100 / 3}


def test_predicted_but_absent_class_counts_in_the_official_mean_only():
    # 3 road pixels: 2 right, 1 taken for car; there is no car and no pole
    scores = iou_scores(np.array([[2, 0, 1], [0, 0, 0], [0, 0, 0]]), NAMES)
    assert scores.classes == {'road': pytest.approx(200 / 3), 'pole': None, 'car': None}
    assert scores.mean == pytest.approx(200 / 3)
    assert scores.official == pytest.approx(100 / 3)
    assert scores.groups['large_static'] == pytest.approx(200 / 3)
    assert scores.groups['small'] is None and scores.groups['dynamic'] is None


def test_missed_class_is_zero_in_both_means():
    scores = iou_scores(np.array([[2, 0, 0], [0, 0, 0], [1, 0, 0]]), NAMES)
    assert scores.classes['car'] == 0.0
    assert scores.mean == scores.official == pytest.approx(100 / 3)


def test_precision_and_recall_by_hand():
    """The last column is pixels without a predicted class: they are missed, and no class's."""
    names = ('road', 'sky', 'car', 'pole')
    counts = np.array([[6, 0, 3, 0, 1], [4, 0, 0, 0, 0], [0, 0, 1, 0, 1], [0, 0, 0, 0, 0]])
    assert mean_rates(counts, names) == {
        'precision/large_static': 30.0,  # road 6 of 10; sky is never predicted
        'recall/large_static': 30.0,  # road 6 of 10, sky 0 of 4
        'precision/dynamic': 25.0,
        'recall/dynamic': 50.0,
        'precision/small': None,
        'recall/small': None,
    }
    own = mean_rates(counts, names, {'vehicles': ['car', 'pole']})
    assert own == {'precision/vehicles': 25.0, 'recall/vehicles': 50.0}


def test_against_reference():
    rng = np.random.default_rng(0)
    pairs, total = [], torch.zeros(19, 19, dtype=torch.int64)
    for _ in range(5):
        target = rng.choice([0, 2, 5, 8, 13, 17, 255], (9, 7)).astype(np.uint8)
        wrong = rng.random(target.shape) < 0.4
        prediction = np.where(wrong | (target == 255), rng.integers(0, 18, target.shape), target)
        pairs.append((prediction, target))
        total += confusion_matrix(torch.from_numpy(prediction), torch.from_numpy(target), 19)
    expected = reference_iou(pairs, 19)
    scores = iou_scores(total, CLASSES)
    for k, (value, occurs) in expected.items():
        assert scores.classes[CLASSES[k]] == (pytest.approx(100 * value) if occurs else None)
    occurring = [100 * value for value, occurs in expected.values() if occurs]
    union = [100 * value for value, _ in expected.values() if value is not None]
    assert scores.mean == pytest.approx(np.mean(occurring), abs=1e-12)
    assert scores.official == pytest.approx(np.mean(union), abs=1e-12)
    assert len(union) > len(occurring)  # or the test above would not tell the two means apart


@pytest.mark.parametrize(
    ('prediction', 'target', 'message'),
    [
        ([[0, 0]], [[0, 34]], r'the label holds the ids 34; valid are 0\.\.18 and 255'),
        ([[0, 19]], [[0, 0]], r'the prediction holds the ids 19; valid are 0\.\.18$'),
        ([[0, 255]], [[0, 255]], r'the prediction holds the ids 255'),
        ([[0, 0]], [[0, -1]], r'the label holds ids from -1 to 0'),
        ([[0, 0]], [[0, 256]], r'the label holds ids from 0 to 256'),
        ([[0, 0]], [[0], [0]], r'the prediction is 1x2 and the label 2x1'),
    ],
)
def test_bad_labels(prediction, target, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(torch.tensor(prediction), torch.tensor(target), 19)


def test_only_ignored_pixels():
    with pytest.raises(ValueError, match='only ignored'):
        iou_scores(np.zeros((3, 3)), NAMES)


def test_flat_names():
    flat = flat_scores(iou_scores(np.diag([1, 0, 1]), NAMES))
    assert flat == {
        'mIoU': 100.0,
        'mIoU_official': 100.0,
        'mIoU_large_static': 100.0,
        'mIoU_dynamic': 100.0,
        'mIoU_small': None,
        'IoU/road': 100.0,
        'IoU/pole': None,
        'IoU/car': 100.0,
    }


def test_groups_are_those_of_the_set():
    groups = dict(small=('b',), large_static=(), vehicles=('a', 'b'), long_tail=('a',))
    scores = iou_scores(np.diag([1, 1, 0]), ('a', 'b', 'c'), groups)
    assert scores.groups == {'small': 100.0, 'vehicles': 100.0}
    assert iou_scores(np.diag([1, 1]), ('building', 'crane')).groups == {'large_static': 100.0}
    assert iou_scores(np.diag([1, 1]), ('crane', 'sign')).groups == {}


def test_what_is_said_of_classes_that_do_not_occur():
    names = ('ground', 'thing', 'sky')
    assert occurrence_note(flat_scores(iou_scores(np.eye(3), names))) is None
    note = occurrence_note(flat_scores(iou_scores(np.diag([1, 0, 1]), names)))
    assert note == (
        '2 of 3 classes occur in the labels; mIoU and the means of groups leave out thing'
    )
    note = occurrence_note(flat_scores(iou_scores(np.diag([1, 0, 0]), names)))
    assert 'A mean over one class says nothing. Are the labels masks of 0 and 255?' in note
