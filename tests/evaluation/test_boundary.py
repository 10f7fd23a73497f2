"""Boundary IoU: cases worked by hand, and the definition with SciPy's erosion."""

import numpy as np
import pytest

from dsr_nss.evaluation.boundary import (
    BoundaryIoU,
    boundary_counts,
    boundary_distance,
    boundary_pixels,
)
from tests.evaluation.scored_images import make_images
from tests.reference.boundary_iou import boundary_iou


def test_distance_is_two_percent_of_the_diagonal():
    assert boundary_distance(1080, 1920) == 44  # 0.02 x 2203
    assert boundary_distance(3, 4) == 1


def test_boundary_by_hand():
    ids = np.zeros((5, 7), np.uint8)
    ids[:, 5:] = 1
    # a pixel inside the image border and the border between the classes
    expected = np.array([[1, 1, 1, 1, 1, 1, 1]] + [[1, 0, 0, 0, 1, 1, 1]] * 3 + [[1] * 7], bool)
    assert (boundary_pixels(ids, 1) == expected).all()


def test_moved_border_by_hand():
    label = np.zeros((1, 10), np.uint8)
    label[:, 5:] = 1
    prediction = np.zeros((1, 10), np.uint8)
    prediction[:, 6:] = 1
    # one row: every pixel is beside the border of the image, so all of them count
    counts = boundary_counts(prediction, label, 2, 1)
    assert counts['both'].tolist() == [5, 4]
    assert counts['label'].tolist() == [5, 5] and counts['prediction'].tolist() == [6, 4]


def test_a_large_segment_counts_less_than_in_the_iou():
    label = np.zeros((60, 60), np.uint8)
    label[20:, 20:] = 1
    prediction = np.zeros_like(label)
    prediction[22:, 22:] = 1
    measured = boundary_counts(prediction, label, 2, 2)
    union = measured['label'] + measured['prediction'] - measured['both']
    assert measured['both'][1] / union[1] < 0.5 < 38**2 / 40**2


@pytest.mark.parametrize('distance', [1, 2, 5])
def test_against_reference(distance):
    images = make_images()
    total = sum(
        np.stack(list(boundary_counts(i.prediction, i.label, 19, distance).values()))
        for i in images
    )
    both, label, prediction = total
    expected = boundary_iou([(i.prediction, i.label) for i in images], distance, 19)
    assert sum(value is not None for value in expected) > 5
    for c, value in enumerate(expected):
        if value is None:
            assert label[c] == 0
        else:
            assert both[c] / (label[c] + prediction[c] - both[c]) == pytest.approx(value, abs=1e-12)


def test_the_measure_of_a_set():
    images = make_images()
    measure = BoundaryIoU(19)
    for image in images:
        measure.update(image)
    # 0.02 x the diagonal of these images is a pixel
    expected = boundary_iou([(i.prediction, i.label) for i in images], 1, 19)
    assert measure.result() == [
        None if value is None else pytest.approx(100 * value, abs=1e-9) for value in expected
    ]


def test_a_perfect_prediction_beside_ignored_pixels():
    label = np.full((12, 12), 255, np.uint8)
    label[4:9, 3:8] = 7
    counts = boundary_counts(np.full((12, 12), 7, np.uint8), label, 19, 1)
    assert counts['both'][7] == counts['label'][7] == counts['prediction'][7] == 16
