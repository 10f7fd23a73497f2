"""What labels tell of themselves."""

import re

import numpy as np
import pytest

from dsr_nss.datasets.class_statistics import class_counts
from dsr_nss.datasets.label_findings import label_findings, sampled_labels
from dsr_nss.datasets.label_ids import likely_cause
from dsr_nss.errors import DataError
from tests.datasets.tiny_sets import write_label

NAMES = ('ground', 'thing', 'sky')


@pytest.mark.parametrize(
    ('ids', 'classes', 'cause'),
    [
        ([7, 11, 26, 255], 19, 'look like label ids.*prepare_data'),
        ([1, 2, 5], 5, 'seem to begin at 1'),
        ([1, 2, 19, 255], 19, 'seem to begin at 1'),
        ([0, 3, 5, 255], 5, 'one id more than classes: name a class for each of 0..5'),
        ([0, 18], 5, 'State all classes in the order of their ids'),
        ([0, 128, 255], 19, 'State all classes'),
    ],
)
def test_ids_that_are_no_class(ids, classes, cause):
    assert re.search(cause, likely_cause(ids, classes))


def test_classes_without_a_pixel_are_counted():
    labels = [f'{i}.png' for i in range(40)]
    (finding,) = label_findings({0: 5, 2: 1}, NAMES, labels, 40)
    assert finding.startswith('1 of 3 classes have no pixel in the 40 labels')
    assert finding.endswith('thing (1)')
    (finding,) = label_findings({0: 5, 2: 1}, NAMES, labels, 16)
    assert 'in 16 of 40 labels' in finding
    assert label_findings({0: 1, 1: 1, 2: 1}, NAMES, labels, 40) == []


@pytest.mark.parametrize(('ids', 'masks'), [((0, 255), True), ((0, 0), False), ((2, 255), False)])
def test_one_id_everywhere(tmp_path, ids, masks):
    write_label(tmp_path / 'a.png', np.array([ids]))
    labels = [str(tmp_path / 'a.png')]
    one, absent = label_findings({ids[0]: 7}, NAMES, labels, 1)
    assert one.startswith(f'all 7 labelled pixels of the 1 labels have one id, {ids[0]} (')
    assert ('masks of 0 and 255' in one) == masks
    assert absent.startswith('2 of 3 classes have no pixel')


def test_a_sample_is_spread_over_the_labels():
    labels = [str(i) for i in range(100)]
    chosen = sampled_labels(labels)
    assert len(chosen) == 16 and chosen[0] == '0' and chosen[-1] == '99'
    assert sampled_labels(labels[:3]) == labels[:3]


def test_statistics_of_more_classes_are_counted_anew(tmp_path):
    write_label(tmp_path / 'a.png', np.full((4, 4), 7))
    labels, cache = {'a': str(tmp_path / 'a.png')}, tmp_path / 'cache.json'
    assert class_counts(cache, labels) == {'a': {7: 16}}
    with pytest.raises(DataError, match=r'a\.png: the label has the ids \[7\]; valid are 0\.\.4'):
        class_counts(cache, labels, num_classes=5)
