"""UIoU: cases worked by hand, and the sets of its definition."""

import numpy as np
import pytest

from dsr_nss.classes import CLASSES
from dsr_nss.evaluation.iou import iou_scores
from dsr_nss.evaluation.uncertainty import (
    UncertaintyAwareIoU,
    confidence_thresholds,
    uiou_counts,
    uiou_curve,
)
from tests.evaluation.scored_images import make_images
from tests.reference.uncertainty_aware_iou import uncertainty_aware_iou


def curve(prediction, label, confidence, invalid, thresholds, num_classes=2):
    arrays = [
        np.array([values], dtype)
        for values, dtype in (
            (prediction, np.uint8), (label, np.uint8), (confidence, np.float32), (invalid, bool),
        )
    ]  # fmt: skip
    thresholds = np.array(thresholds)
    return uiou_curve(uiou_counts(*arrays, thresholds, num_classes), thresholds)


def test_by_hand():
    # one pixel of each kind at threshold 0.8, for class 0:
    #            TP   FP   FN   TI   FI   ignored
    prediction = [0, 0, 1, 1, 0, 0]
    label = [0, 1, 0, 0, 0, 255]
    confidence = [0.9, 0.9, 0.9, 0.6, 0.6, 0.9]
    invalid = [0, 0, 0, 1, 0, 1]
    result = curve(prediction, label, confidence, invalid, [0.5, 0.8])
    # nothing abstains: TP 2, FP 1, FN 2; class 1: TP 0
    assert result.classes[0].tolist() == [40.0, 0.0]
    # class 0: (TP 1 + TI 1) / 5; class 1: FN 1 and FP 1
    assert result.classes[1].tolist() == [40.0, 0.0]
    assert result.mean.tolist() == [20.0, 20.0] and result.average == 20.0


def test_abstaining_where_nothing_can_be_seen_is_right_even_if_the_class_was_wrong():
    shared = dict(prediction=[0, 1], label=[0, 0], confidence=[0.9, 0.6], thresholds=[0.5, 0.8])
    assert curve(invalid=[0, 1], **shared).classes[:, 0].tolist() == [50.0, 100.0]
    assert curve(invalid=[0, 0], **shared).classes[:, 0].tolist() == [50.0, 50.0]


def test_a_confidence_equal_to_the_threshold_does_not_abstain():
    result = curve([0, 0], [0, 0], [0.5, 0.75], [0, 0], [0.5, 0.75, 1.0])
    assert result.classes[:, 0].tolist() == [100.0, 50.0, 0.0]


def test_against_reference():
    images = make_images()
    measure = UncertaintyAwareIoU(19)
    for image in images:
        measure.update(image)
    result = measure.result()
    arrays = [(i.prediction, i.label, i.confidence, i.invalid) for i in images]
    for k in (0, 1, 37, 100):
        expected = uncertainty_aware_iou(arrays, result.thresholds[k], 19)
        assert sum(value is not None for value in expected) > 5
        for c, value in enumerate(expected):
            if value is None:
                assert np.isnan(result.classes[k, c])
            else:
                assert result.classes[k, c] == pytest.approx(100 * value, abs=1e-12)
        occurring = [100 * value for value in expected if value is not None]
        assert result.mean[k] == pytest.approx(np.mean(occurring), abs=1e-12)
    assert result.average == pytest.approx(result.mean.mean())


def test_at_the_lowest_threshold_it_is_the_iou():
    images = make_images()
    measure = UncertaintyAwareIoU(19)
    for image in images:
        # softmax can round below 1/19
        rounded = np.full(image.label.shape, np.nextafter(np.float32(1 / 19), np.float32(0)))
        measure.update(type(image)(**{**vars(image), 'confidence': rounded}))
    scores = iou_scores(sum(image.confusion for image in images), CLASSES)
    result = measure.result()
    assert result.mean[0] == pytest.approx(scores.mean, abs=1e-12)
    for c, name in enumerate(CLASSES):
        expected = scores.classes[name]
        if expected is not None:
            assert result.classes[0, c] == pytest.approx(expected, abs=1e-12)


def test_thresholds_span_what_a_confidence_can_be():
    thresholds = confidence_thresholds(19)
    assert thresholds[0] == 1 / 19 and thresholds[-1] == 1 and (np.diff(thresholds) > 0).all()


def test_what_is_missing_is_named():
    image = make_images(1)[0]
    with pytest.raises(ValueError, match='0: UIoU needs a confidence and a mask'):
        UncertaintyAwareIoU(19).update(type(image)(**{**vars(image), 'invalid': None}))
    with pytest.raises(ValueError, match='only ignored'):
        uiou_curve({k: np.zeros((2, 3)) for k in ('correct', 'predicted', 'valid', 'invalid')},
                   np.array([0.5, 1.0]))  # fmt: skip
