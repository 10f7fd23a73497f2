"""Cityscapes train ids from label ids and from polygons."""

import json

import cv2
import numpy as np
import pytest

from dsr_nss.datasets import DataError
from dsr_nss.datasets.preparation.cityscapes_labels import (
    make_train_ids,
    train_id_table,
    train_ids_of_label_ids,
    train_ids_of_polygons,
)
from tests.datasets.tiny_sets import write_label


def write_polygons(path, objects, size=(10, 12)):
    path.parent.mkdir(parents=True, exist_ok=True)
    things = [dict(label=label, polygon=polygon, **rest) for label, polygon, rest in objects]
    path.write_text(json.dumps(dict(imgHeight=size[0], imgWidth=size[1], objects=things)))
    return path


def box(top, left, bottom, right):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def test_table():
    table = train_id_table()
    # ids of the public definition: road 7, sky 23, person 24, car 26, train 31, bicycle 33
    assert [table[i] for i in (7, 23, 24, 26, 31, 33)] == [0, 10, 11, 13, 16, 18]
    # unlabeled, parking, bridge, caravan, trailer
    assert [table[i] for i in (0, 9, 15, 29, 30, 255)] == [255] * 6
    assert sorted(set(table.tolist())) == [*range(19), 255]


def test_label_ids(tmp_path):
    write_label(tmp_path / 'a.png', np.array([[7, 33, 0], [29, 26, 255]]))
    expected = [[0, 18, 255], [255, 13, 255]]
    assert train_ids_of_label_ids(tmp_path / 'a.png').tolist() == expected


def test_label_ids_out_of_range(tmp_path):
    write_label(tmp_path / 'a.png', np.array([[7, 77]]))
    with pytest.raises(DataError, match=r'a\.png: the values \[77\] are no Cityscapes label ids'):
        train_ids_of_label_ids(tmp_path / 'a.png')


def test_polygons_are_painted_in_order(tmp_path):
    path = write_polygons(
        tmp_path / 'a.json',
        [
            ('road', box(0, 0, 9, 11), {}),
            ('persongroup', box(2, 2, 5, 5), {}),
            ('static', box(4, 4, 7, 7), {}),
            ('license plate', box(0, 8, 9, 11), {}),
            ('car', box(0, 8, 9, 11), {'deleted': 1}),
        ],
    )
    expected = np.zeros((10, 12), int)
    expected[2:6, 2:6] = 11
    expected[4:8, 4:8] = 255
    np.testing.assert_array_equal(train_ids_of_polygons(path), expected)


def test_unannotated_pixels_are_ignore(tmp_path):
    path = write_polygons(tmp_path / 'a.json', [('sky', box(0, 0, 2, 11), {})])
    label = train_ids_of_polygons(path)
    assert (label[:3] == 10).all() and (label[3:] == 255).all()


def test_bad_polygons(tmp_path):
    path = write_polygons(tmp_path / 'a.json', [('spaceship', box(0, 0, 2, 2), {})])
    with pytest.raises(DataError, match=r"a\.json: .*unknown label 'spaceship'"):
        train_ids_of_polygons(path)
    path.write_text('{}')
    with pytest.raises(DataError, match='no Cityscapes polygons'):
        train_ids_of_polygons(path)


def test_make_train_ids(tmp_path):
    city = tmp_path / 'gtFine/train/aachen'
    write_label(city / 'a_gtFine_labelIds.png', np.full((4, 4), 7))
    write_polygons(city / 'a_gtFine_polygons.json', [('sky', box(0, 0, 3, 3), {})], (4, 4))
    write_polygons(city / 'b_gtFine_polygons.json', [('sky', box(0, 0, 3, 3), {})], (4, 4))
    write_label(city / 'c_gtFine_labelIds.png', np.full((4, 4), 7))
    write_label(city / 'c_gtFine_labelTrainIds.png', np.full((4, 4), 5))
    assert make_train_ids(tmp_path, ('train',), workers=2, show_progress=False) == 2

    def read(name):
        return cv2.imread(str(city / f'{name}_gtFine_labelTrainIds.png'), cv2.IMREAD_UNCHANGED)

    assert (read('a') == 0).all()  # label ids go before polygons
    assert (read('b') == 10).all()
    assert (read('c') == 5).all()  # what exists is kept
    assert make_train_ids(tmp_path, ('train', 'val'), show_progress=False) == 0
