"""Cityscapes train ids from label ids and from polygons."""

import json

import cv2
import numpy as np
import pytest

from dsr_nss.datasets import DataError
from dsr_nss.datasets.preparation.cityscapes_labels import (
    make_train_ids,
    make_train_ids_of_folder,
    train_id_table,
    train_ids_of_label_ids,
    train_ids_of_polygons,
)
from tests.datasets.tiny_sets import write_image, write_label


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
    for text in ('{}', '[' * 100_000):
        path.write_text(text)
        with pytest.raises(DataError, match='no Cityscapes polygons'):
            train_ids_of_polygons(path)


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (dict(imgWidth=0), 'imgWidth and imgHeight are 0 and'),
        (dict(imgHeight=-4), 'imgWidth and imgHeight are'),
        (dict(imgWidth=2.5), 'imgWidth and imgHeight are'),
        (dict(imgWidth=10**6, imgHeight=10**6), '1000000x1000000 pixels'),
        (dict(objects=[dict(label='sky', polygon=[[0, 0], [float('nan'), 2], [2, 2]])]), 'finite'),
        (dict(objects=[dict(label='sky', polygon=[[0, 0], [float('inf'), 2], [2, 2]])]), 'finite'),
        (dict(objects=[dict(label='sky', polygon=[[0, 0], ['a', 2], [2, 2]])]), 'could not'),
        (dict(objects=['sky']), 'no Cityscapes polygons'),
    ],
)
def test_polygons_of_no_image(tmp_path, changes, said):
    path = write_polygons(tmp_path / 'a.json', [('sky', box(0, 0, 3, 3), {})], (4, 4))
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(DataError, match=rf'a\.json: .*{said}'):
        train_ids_of_polygons(path)


def test_one_bad_file_does_not_keep_the_others_from_being_made(tmp_path, rng):
    """A label of another size than its image, polygons of no image: named; the rest is made."""
    city = tmp_path / 'gtFine/train/aachen'
    for name, size in (('good', (8, 6)), ('wide', (8, 9)), ('broken', (8, 6))):
        write_polygons(city / f'{name}_gtFine_polygons.json', [], size)
        image = tmp_path / f'leftImg8bit/train/aachen/{name}_leftImg8bit.png'
        write_image(image, rng, (8, 6))
    (city / 'broken_gtFine_polygons.json').write_text('{"imgWidth": 0}')
    with pytest.raises(DataError, match='2 of 3 files cannot be used') as failure:
        make_train_ids(tmp_path, ('train',))
    assert 'wide_gtFine_polygons.json is 8x9 (height x width) but' in str(failure.value)
    assert 'broken_gtFine_polygons.json' in str(failure.value)
    assert [path.name for path in city.glob('*TrainIds.png')] == ['good_gtFine_labelTrainIds.png']


def test_make_train_ids(tmp_path):
    city = tmp_path / 'gtFine/train/aachen'
    write_label(city / 'a_gtFine_labelIds.png', np.full((4, 4), 7))
    write_polygons(city / 'a_gtFine_polygons.json', [('sky', box(0, 0, 3, 3), {})], (4, 4))
    write_polygons(city / 'b_gtFine_polygons.json', [('sky', box(0, 0, 3, 3), {})], (4, 4))
    write_label(city / 'c_gtFine_labelIds.png', np.full((4, 4), 7))
    write_label(city / 'c_gtFine_labelTrainIds.png', np.full((4, 4), 5))
    assert make_train_ids(tmp_path, ('train',), workers=2) == 2

    def read(name):
        return cv2.imread(str(city / f'{name}_gtFine_labelTrainIds.png'), cv2.IMREAD_UNCHANGED)

    assert (read('a') == 0).all()  # label ids go before polygons
    assert (read('b') == 10).all()
    assert (read('c') == 5).all()  # what exists is kept
    assert make_train_ids(tmp_path, ('train', 'val')) == 0


def test_label_ids_of_another_set(tmp_path):
    """NightCity's `Dubai_0016_labelIds.png`, in any folder."""
    labels = tmp_path / 'val/lbl'
    write_label(labels / 'Dubai_0016_labelIds.png', np.full((4, 4), 26))
    write_label(labels / 'Dubai_0017_labelIds.png', np.full((4, 4), 99))
    with pytest.raises(DataError, match=r'1 of 2 files.*\n.*Dubai_0017.* no Cityscapes label ids'):
        make_train_ids_of_folder(tmp_path)
    made = cv2.imread(str(labels / 'Dubai_0016_labelTrainIds.png'), cv2.IMREAD_UNCHANGED)
    assert (made == 13).all()
    (labels / 'Dubai_0017_labelIds.png').unlink()
    assert make_train_ids_of_folder(tmp_path) == 0
    with pytest.raises(FileNotFoundError, match='no .*_labelIds.png below'):
        make_train_ids_of_folder(tmp_path / 'elsewhere')
