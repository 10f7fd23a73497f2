"""BDD100K night: the list of night images and the set that it selects."""

import json

import numpy as np
import pytest
from mmseg.registry import DATASETS

from dsr_nss.datasets import DataError
from dsr_nss.datasets.preparation.bdd100k_list import make_night_list, times_of_day
from tests.datasets.tiny_sets import random_label, write_image, write_label


@pytest.fixture
def root(tmp_path, rng):
    for split, names in (('train', 'ab'), ('val', 'cde')):
        for name in names:
            write_image(tmp_path / f'images/10k/{split}/{name}.jpg', rng)
            mask = tmp_path / f'labels/sem_seg/masks/{split}/{name}.png'
            write_label(mask, random_label(rng))
    return tmp_path


def write_attributes(root, **times):
    frames = [
        dict(name=f'{name}.jpg', attributes=dict(weather='clear', timeofday=time), labels=[])
        for name, time in times.items()
    ]
    path = root / 'labels/det_20/det_val.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(frames, indent=1))


def build(root, **kwargs):
    return DATASETS.build(dict(type='BDD100kNight', data_root=str(root), **kwargs))


def test_list_from_attributes(root):
    write_attributes(root, a='night', b='daytime', c='night', d='dawn/dusk', other='night')
    path, count, unknown = make_night_list(root)
    assert path.read_text() == 'train/a.jpg\nval/c.jpg\n'
    assert (count, unknown) == (2, 1)  # nothing is known of e
    val = build(root, split='val')
    assert [val.get_data_info(i)['key'] for i in range(len(val))] == ['val/c']
    assert val.get_data_info(0)['seg_map_path'].endswith('sem_seg/masks/val/c.png')
    assert len(build(root, split='trainval')) == 2


def test_list_of_a_paper(root):
    (root / 'paper.txt').write_text('seg/images/train/b.jpg\nseg/images/val/d.jpg\n')
    _, count, unknown = make_night_list(root, root / 'paper.txt')
    assert (count, unknown) == (2, 0)
    assert build(root, split='train').get_data_info(0)['key'] == 'train/b'


def test_no_attributes(root):
    with pytest.raises(FileNotFoundError, match=r'det_val\.json.*--night-list'):
        make_night_list(root)


def test_damaged_attributes(root):
    write_attributes(root, a='night')
    path = root / 'labels/det_20/det_val.json'
    path.write_text(path.read_text()[:-3])
    with pytest.raises(DataError, match=r'det_val\.json: no list of frames'):
        times_of_day(root)


def test_missing_list_and_missing_image(root):
    with pytest.raises(FileNotFoundError, match=r'night_images\.txt is missing.*bdd100k_night'):
        build(root, split='val')
    (root / 'night_images.txt').write_text('val/c.jpg\nval/gone.jpg\n')
    with pytest.raises(FileNotFoundError, match=r'names 1 images .* the first: val/gone\.jpg'):
        build(root, split='val')
    (root / 'night_images.txt').write_text('c.png\n')
    with pytest.raises(DataError, match='line 1: expected'):
        build(root, split='val')


def test_missing_label(root):
    (root / 'night_images.txt').write_text('val/c.jpg\n')
    (root / 'labels/sem_seg/masks/val/c.png').unlink()
    with pytest.raises(FileNotFoundError, match='1 of 1 images have no label'):
        build(root, split='val')


def test_the_stream_reads_a_nested_list(root):
    path = root / 'labels/det_20/det_val.json'
    path.parent.mkdir(parents=True)
    frame = dict(name='a.jpg', attributes=dict(timeofday='night'), labels=[dict(box=[1, 2])])
    path.write_text(json.dumps(dict(frames=[frame, dict(name='b.jpg')])))
    assert times_of_day(root) == {'a': 'night'}
    assert np.char.isalpha(list(times_of_day(root))).all()
