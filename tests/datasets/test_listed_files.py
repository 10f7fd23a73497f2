"""Entries of lists that lead out of their root are refused by name, in every set with a list."""

import codecs

import numpy as np
import pytest

from dsr_nss.datasets import DataError
from dsr_nss.datasets.bdd100k_night import read_night_list
from dsr_nss.datasets.dark_zurich import DarkZurich
from dsr_nss.datasets.dark_zurich_pairs import correspondences, read_pair_list
from dsr_nss.datasets.listed_files import listed_file
from dsr_nss.matching import MegaDepthPairs, PairList
from dsr_nss.matching.truth import true_pairs

ELSEWHERE = ('../secret.png', '/etc/secret.png', 'a/../../secret.png', '../root_too/secret.png')


def test_what_lies_below_the_root(tmp_path):
    root = tmp_path / 'root'
    for name in ('a.png', 'a/b.png', './a.png', 'a/../b.png', '..a/b.png', str(root / 'a.png')):
        assert listed_file(root, name, 'x') == root / name
    (tmp_path / 'elsewhere').mkdir()
    root.mkdir()
    (root / 'link').symlink_to(tmp_path / 'elsewhere')
    assert listed_file(root, 'link/a.png', 'x') == root / 'link/a.png'


@pytest.mark.parametrize('name', [*ELSEWHERE, 'a\0b', 'a\x1b[2Jb', 7, None, b'a.png'])
def test_what_does_not(tmp_path, name):
    with pytest.raises(
        DataError, match='list.txt, line 3: .*(lies outside of|is no file name)'
    ) as e:
        listed_file(tmp_path / 'root', name, 'list.txt, line 3')
    assert str(e.value).isprintable()


@pytest.mark.parametrize('name', ELSEWHERE)
def test_every_list(tmp_path, name):
    root = tmp_path / 'root'
    (root / 'scene_info').mkdir(parents=True)
    (root / 'rgb_anon/train/night').mkdir(parents=True)
    (root / 'rgb_anon/train/day').mkdir(parents=True)
    (tmp_path / 'secret.png').write_bytes(b'secret')
    (root / 'pairs.csv').write_text(f'target,reference\n{name},\n')
    with pytest.raises(DataError, match='pairs.csv, line 2: .* lies outside of'):
        PairList(pairs=str(root / 'pairs.csv'), size=(8, 8))
    (root / 'pairs_train.txt').write_text(f'{name}\n')
    with pytest.raises(DataError, match='lies outside of'):
        DarkZurich(data_root=str(root), split='train')
    (root / 'true.csv').write_text(f'target,reference,flow\na.png,b.png,{name}\n')
    with pytest.raises(DataError, match='true.csv, line 2: .* lies outside of'):
        true_pairs(str(root / 'true.csv'))
    columns = 'scene,source_image,target_image,XA,YA,XB,YB\n'
    (root / 'points.csv').write_text(f'{columns}../..,{name},a.png,1,1,1,1\n')
    with pytest.raises(DataError, match='points.csv, line 2: .* lies outside of'):
        true_pairs(str(root / 'points.csv'))
    overlap = np.full((2, 2), 0.5)
    np.savez(
        root / 'scene_info/0000.npz',
        image_paths=np.array([name, 'a.png'], object),
        overlap_matrix=overlap,
    )
    with pytest.raises(DataError, match='0000.npz: .* lies outside of'):
        MegaDepthPairs(data_root=str(root), size=(8, 8))
    (root / 'scenes.txt').write_text(name)
    with pytest.raises(DataError, match='scenes.txt: .* lies outside of'):
        MegaDepthPairs(data_root=str(root), size=(8, 8), scenes='scenes.txt')


def test_the_night_list_takes_names_alone(tmp_path):
    """What comes before the split is not used, so that nothing can lead elsewhere."""
    (tmp_path / 'night.txt').write_text('/etc/../train/a.jpg\n')
    assert read_night_list(tmp_path / 'night.txt') == ['train/a.jpg']


NIGHTS = (
    'train/night/GOPR1/GOPR1_frame_000000, rgb_anon/train/day/b.png\n# comment\nrgb_anon/c.png\n'
)


@pytest.mark.parametrize(
    'data',
    [
        NIGHTS.encode(),
        NIGHTS.replace('\n', '\r\n').encode('utf-8-sig'),
        NIGHTS.replace('\n', '\r').encode(),
        NIGHTS.replace('/', '\\').encode(),
        NIGHTS.encode('utf-16'),
        codecs.BOM_UTF16_BE + NIGHTS.encode('utf-16-be'),
    ],
)
def test_lists_of_any_editor(tmp_path, data):
    """Byte order marks, line ends and separators of Windows."""
    path = tmp_path / 'pairs.txt'
    path.write_bytes(data)
    night = 'rgb_anon/train/night/GOPR1/GOPR1_frame_000000_rgb_anon.png'
    assert read_pair_list(path) == [(night, 'rgb_anon/train/day/b.png'), ('rgb_anon/c.png', None)]


@pytest.mark.parametrize(
    'data', [NIGHTS.encode('utf-16-le'), bytes(range(1, 256)), b'a.png\0b.png', b'\xff\xfeabc', b'']
)
def test_what_is_no_text(tmp_path, data):
    path = tmp_path / 'pairs.txt'
    path.write_bytes(data)
    with pytest.raises(DataError, match=r'pairs\.txt: .*(binary|no text|empty)'):
        read_pair_list(path)


def test_a_line_twice(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('a.png b.png\n\nc.png\na.png d.png\n')
    with pytest.raises(DataError, match=r'a\.txt: lines 1 and 4 name the same night .*a\.png'):
        read_pair_list(path)
    path.write_text('train/a.jpg\nx/train\\a.jpg\n')
    with pytest.raises(DataError, match='lines 1 and 2 name the same image'):
        read_night_list(path)
    path.write_text('target,reference\na.png,b.png\na.png,c.png\na.png,b.png\n')
    with pytest.raises(DataError, match='lines 2 and 4 name the same pair'):
        PairList(pairs=str(path), size=(8, 8))


def test_a_name_with_a_backslash_of_its_own(tmp_path):
    (tmp_path / 'a\\b.png').touch()
    assert listed_file(tmp_path, 'a\\b.png', 'x') == tmp_path / 'a\\b.png'
    assert listed_file(tmp_path, 'a\\c.png', 'x') == tmp_path / 'a/c.png'
    with pytest.raises(DataError, match='lies outside of'):
        listed_file(tmp_path, '..\\..\\c.png', 'x')


def test_published_matches_with_a_byte_order_mark(tmp_path):
    path = tmp_path / 'corresp/train/night/a.csv'
    path.parent.mkdir(parents=True)
    night, day = 'train/night/S/S_frame_000001', 'train/day/T/T_frame_000002'
    path.write_bytes(f'{night},{day}\r\n'.encode('utf-8-sig'))
    assert correspondences(tmp_path) == {night: day}
