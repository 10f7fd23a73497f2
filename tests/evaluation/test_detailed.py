"""All measures together: their names, and the sum over processes."""

import numpy as np
import pytest

from dsr_nss.classes import CLASSES
from dsr_nss.evaluation.detailed import DetailedMeasures
from dsr_nss.evaluation.worst_cases import WorstCases
from tests.evaluation.scored_images import make_images


def measure(images, with_invalid=True):
    measures = DetailedMeasures(CLASSES, with_invalid)
    for image in images:
        measures.update(image)
    return measures


def test_shares_of_the_images_add_up_to_the_same_figures():
    images = make_images(5)
    whole = measure(images)
    shares = [measure(images[0::2]), measure(images[1::2]), measure([])]
    merged = measure([])
    merged.merge([share.state() for share in shares])
    assert merged.flat() == whole.flat()  # to the last bit
    assert merged.images.scores() == whole.images.scores()
    for (a, *maps), (b, *others) in zip(merged.images.worst(), whole.images.worst(), strict=True):
        assert a == b
        assert all((x == y).all() for x, y in zip(maps, others, strict=True))
    assert (merged.uncertainty.result().mean == whole.uncertainty.result().mean).all()


def test_flat_names():
    flat = measure(make_images(2)).flat()
    bins = ('tiny', 'small', 'medium', 'large')
    assert list(flat) == [
        'boundary_IoU', 'UIoU',
        *(f'recall_small/{name}' for name in bins),
        *(f'detected_small/{name}' for name in bins),
        *(f'objects_small/{name}' for name in bins),
        *(f'boundary_IoU/{name}' for name in CLASSES),
    ]  # fmt: skip
    occurring = [
        flat[f'boundary_IoU/{n}'] for n in CLASSES if flat[f'boundary_IoU/{n}'] is not None
    ]
    assert flat['boundary_IoU'] == pytest.approx(np.mean(occurring))
    assert 'UIoU' not in measure(make_images(2), with_invalid=False).flat()


def test_the_worst_images_come_first_and_only_theirs_are_kept():
    images = make_images(5)
    cases = WorstCases(CLASSES, shown=2)
    for image in images:
        cases.update(image)
    scores = cases.scores()
    assert len(scores) == 5
    assert [s.mean for s in scores] == sorted(s.mean for s in scores)
    worst = cases.worst()
    assert [score for score, _, _ in worst] == scores[:2]
    for score, label, prediction in worst:
        image = images[int(score.name)]
        assert (label == image.label).all() and (prediction == image.prediction).all()
        counted = image.label != 255
        right = (image.label == image.prediction)[counted].mean()
        assert score.accuracy == pytest.approx(100 * right)


def test_an_image_without_labels_has_no_score():
    image = make_images(1)[0]
    cases = WorstCases(CLASSES)
    cases.update(type(image)(**{**vars(image), 'confusion': np.zeros((19, 19), np.int64)}))
    assert cases.scores() == cases.worst() == []
