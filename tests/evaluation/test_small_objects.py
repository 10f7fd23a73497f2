"""Recall of small objects: cases worked by hand, and flood fill."""

import numpy as np
import pytest

from dsr_nss.classes import CLASSES
from dsr_nss.evaluation.accumulator import ScoredImage
from dsr_nss.evaluation.small_objects import Recall, SmallObjectRecall, object_recall
from tests.evaluation.scored_images import make_images
from tests.reference.object_recall import objects

POLE, SIGN, PERSON, CAR = (CLASSES.index(n) for n in ('pole', 'traffic sign', 'person', 'car'))


def scored(prediction, label):
    return ScoredImage('image', prediction, label, np.zeros((19, 19), np.int64))


def test_by_hand():
    label = np.zeros((120, 200), np.uint8)
    label[0:10, 0:10] = POLE  # 100 pixels: tiny
    label[10:16, 10:16] = POLE  # touches it at a corner: the same object, 136 pixels
    label[40:60, 0:20] = SIGN  # 400 pixels: small
    label[0:100, 100:200] = PERSON  # 10,000 pixels: large
    label[70:80, 0:10] = CAR  # is not counted
    prediction = np.zeros_like(label)
    prediction[0:10, 0:10] = POLE  # 100 of 136
    prediction[40:50, 0:20] = SIGN  # half of it: not more than half
    prediction[50:60, 0:20] = POLE
    prediction[0:75, 100:200] = PERSON
    measure = SmallObjectRecall(CLASSES)
    measure.update(scored(prediction, label))
    result = measure.result()
    assert result['tiny'] == Recall(1, pytest.approx(100 * 100 / 136, abs=1e-7), 100.0)
    assert result['small'] == Recall(1, 50.0, 0.0)
    assert result['medium'] == Recall(0, None, None)
    assert result['large'] == Recall(1, 75.0, 100.0)
    by_class = measure.by_class()
    assert list(by_class) == ['pole', 'traffic light', 'traffic sign', 'person', 'rider']
    assert by_class['traffic sign']['small'].recall == 50.0
    assert by_class['pole']['small'].objects == 0


def test_limits_belong_to_the_larger_bin():
    label = np.zeros((40, 300), np.uint8)
    label[0:15, 0:17] = POLE  # 255
    label[0:16, 50:66] = POLE  # 256
    label[0:32, 100:132] = POLE  # 1024
    measure = SmallObjectRecall(CLASSES)
    measure.update(scored(label, label))
    assert [recall.objects for recall in measure.result().values()] == [1, 1, 1, 0]


def test_against_reference():
    found_any = 0
    for image in make_images():
        for class_id in (5, 6, 7, 11, 12):
            areas, found = object_recall(image.prediction, image.label, class_id)
            pairs = sorted(zip(areas.tolist(), found.tolist(), strict=True))
            assert pairs == sorted(objects(image.prediction, image.label, class_id))
            found_any += len(pairs)
    assert found_any > 10


def test_other_classes():
    measure = SmallObjectRecall(('road', 'person'))
    label = np.array([[0, 1]], np.uint8)
    measure.update(scored(label, label))
    assert list(measure.by_class()) == ['person']
    assert measure.result()['tiny'] == Recall(1, 100.0, 100.0)
