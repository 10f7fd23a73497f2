"""Day references of Dark Zurich from lists, correspondences and GPS positions."""

import pytest

from dsr_nss.datasets import DataError
from dsr_nss.datasets.dark_zurich_pairs import (
    nearest_by_position,
    pairs_of_published_files,
    read_pair_list,
    train_pairs,
    write_pair_list,
)
from tests.datasets.tiny_sets import make_dark_zurich

NIGHT, DAY = 'train/night/GOPR1/GOPR1_frame_000000', 'train/day/GOPR2/GOPR2_frame_000009'


def test_list_forms(tmp_path):
    path = tmp_path / 'pairs.txt'
    path.write_text(f'# comment\n{NIGHT},{DAY}\n\nrgb_anon/x.png rgb_anon/y.png\nother.png\n')
    assert read_pair_list(path) == [
        (f'rgb_anon/{NIGHT}_rgb_anon.png', f'rgb_anon/{DAY}_rgb_anon.png'),
        ('rgb_anon/x.png', 'rgb_anon/y.png'),
        ('other.png', None),
    ]


def test_list_round_trip(tmp_path):
    pairs = [('a.png', 'b.png'), ('c.png', None)]
    assert read_pair_list(write_pair_list(tmp_path / 'pairs.txt', pairs)) == pairs


def test_bad_lists(tmp_path):
    path = tmp_path / 'pairs.txt'
    with pytest.raises(FileNotFoundError, match='pairs.txt does not exist'):
        read_pair_list(path)
    path.write_text('# nothing\n')
    with pytest.raises(DataError, match='is empty'):
        read_pair_list(path)
    path.write_text('a b\na b c\n')
    with pytest.raises(DataError, match='line 2: expected'):
        read_pair_list(path)


def test_correspondences_and_images_without_one(tmp_path):
    make_dark_zurich(tmp_path, count=3)
    csv = tmp_path / 'corresp/train/night/GOPR1_ref.csv'
    lines = csv.read_text().splitlines()
    csv.write_text('\n'.join(lines[:2]) + '\n')
    assert pairs_of_published_files(tmp_path) == [
        (f'rgb_anon/{NIGHT}_rgb_anon.png', f'rgb_anon/{DAY}_rgb_anon.png'),
        (
            'rgb_anon/train/night/GOPR1/GOPR1_frame_000001_rgb_anon.png',
            'rgb_anon/train/day/GOPR2/GOPR2_frame_000008_rgb_anon.png',
        ),
        ('rgb_anon/train/night/GOPR1/GOPR1_frame_000002_rgb_anon.png', None),
    ]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize('form', ['sequence', 'frame'])
def test_nearest_position(tmp_path, form):
    # at 47 degrees a degree of longitude is 0.68 of a degree of latitude: the second day frame is
    # further away in degrees but nearer in metres
    days = {'GOPR2_frame_000001': (47.0010, 8.0), 'GOPR2_frame_000002': (47.0, 8.0013)}
    nights = {'GOPR1_frame_000007': (47.0, 8.0), 'GOPR1_frame_000008': (47.0011, 8.0)}
    for time, positions in (('day', days), ('night', nights)):
        if form == 'sequence':
            rows = ''.join(f'{frame},{a},{b}\n' for frame, (a, b) in positions.items())
            write(tmp_path / f'gps/train/{time}/positions.csv', 'frame,latitude,longitude\n' + rows)
        else:
            for frame, (a, b) in positions.items():
                write(tmp_path / f'gps/train/{time}/{frame[:5]}/{frame}_gps.txt', f'{a},{b}\n')
    assert nearest_by_position(tmp_path) == {
        'train/night/GOPR1/GOPR1_frame_000007': 'train/day/GOPR2/GOPR2_frame_000002',
        'train/night/GOPR1/GOPR1_frame_000008': 'train/day/GOPR2/GOPR2_frame_000001',
    }


def test_a_list_goes_before_the_correspondences(tmp_path, monkeypatch):
    said = []
    where = 'dsr_nss.datasets.dark_zurich_pairs.print_log'
    monkeypatch.setattr(where, lambda text, *_: said.append(text))
    make_dark_zurich(tmp_path)
    assert len(train_pairs(tmp_path)) == 4
    (tmp_path / 'pairs_train.txt').write_text(f'{NIGHT} {DAY}\n')
    assert len(train_pairs(tmp_path)) == 1
    assert 'pairs_train.txt names 1 of the 4 night images beside it' in ''.join(said)


def test_correspondences_of_another_system_and_twice(tmp_path):
    """Rows that say the same may be there twice; paths of Windows are read as elsewhere."""
    csv = make_dark_zurich(tmp_path, count=2) / 'corresp/train/night/GOPR1_ref.csv'
    expected = pairs_of_published_files(tmp_path)
    csv.write_text(csv.read_text().replace('/', '\\') + csv.read_text())
    assert pairs_of_published_files(tmp_path) == expected
    csv.write_text(csv.read_text() + f'{NIGHT},train/day/GOPR2/GOPR2_frame_000001\n')
    with pytest.raises(DataError, match=f'GOPR1_ref.csv: gives {NIGHT} .*000001, but .*{DAY}'):
        pairs_of_published_files(tmp_path)


def test_correspondences_that_name_no_image(tmp_path):
    csv = make_dark_zurich(tmp_path, count=2) / 'corresp/train/night/GOPR1_ref.csv'
    csv.write_text(csv.read_text().replace('GOPR1', 'GOPR7'))
    with pytest.raises(
        DataError, match=f'any of the 2 night images.*GOPR7.*first image is {NIGHT}'
    ):
        pairs_of_published_files(tmp_path)
    csv.write_text('night,day\n')
    with pytest.raises(FileNotFoundError, match=r'there is no .*pairs_train\.txt, and neither'):
        pairs_of_published_files(tmp_path)
