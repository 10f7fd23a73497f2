"""Image pairs for dense matching: what is paired, what an item holds, what is refused."""

import io
import pickle
import re
import zipfile
from functools import partial

import cv2
import numpy as np
import pytest
import torch

from dsr_nss.datasets import DataError
from dsr_nss.matching import MegaDepthPairs, PairList, ReferencePairs
from tests.datasets.tiny_sets import SIZE, make_dark_zurich, write_image


def names_of(item):
    return tuple(item['files'][key].rsplit('/', 1)[-1] for key in ('target', 'reference'))


def items_of(dataset, count=None):
    return [dataset[i] for i in range(count or len(dataset))]


# --- sets of the package ---------------------------------------------------------------------


@pytest.fixture
def night_pairs(tmp_path):
    images = dict(type='DarkZurich', data_root=str(make_dark_zurich(tmp_path)), split='train')
    return partial(ReferencePairs, images=images, size=SIZE)


def test_a_night_set_pairs_with_its_day_references(night_pairs):
    dataset = night_pairs()
    items = items_of(dataset)
    assert len({names_of(item) for item in items}) == len(dataset) == 4
    for item in items:
        night, day = (cv2.imread(item['files'][key]) for key in ('target', 'reference'))
        assert torch.equal(
            item['target'], torch.from_numpy(night[..., ::-1].transpose(2, 0, 1).copy())
        )
        assert torch.equal(
            item['reference'], torch.from_numpy(day[..., ::-1].transpose(2, 0, 1).copy())
        )
        assert item['has_reference'] and item['target'].dtype == torch.uint8
        frame = int(re.findall(r'frame_(\d+)', item['files']['target'])[0])
        assert f'frame_{9 - frame:06d}' in item['files']['reference']


def test_the_seed_decides_the_order_and_an_item_depends_on_its_number_alone(night_pairs):
    whole = [names_of(item) for item in items_of(night_pairs(seed=1), 8)]
    again = night_pairs(seed=1)
    assert names_of(again[6]) == whole[6] and names_of(again[1]) == whole[1]
    assert sorted(whole[:4]) == sorted(whole[4:])
    others = {tuple(names_of(item) for item in items_of(night_pairs(seed=s), 8)) for s in range(4)}
    assert len(others) == 4


def test_a_folder_of_single_images(tmp_path, rng):
    for i in range(3):
        write_image(tmp_path / f'{i}.png', rng)
    dataset = ReferencePairs(images=dict(type='FolderDataset', images=str(tmp_path)), size=SIZE)
    for item in items_of(dataset):
        assert not item['has_reference'] and item['files']['reference'] == ''
        assert item['reference'].shape == item['target'].shape and not item['reference'].any()


def test_two_folders_pair_by_stem_and_sizes_may_differ(tmp_path, rng):
    for name in ('a', 'b'):
        write_image(tmp_path / f'target/{name}.png', rng, (24, 32))
    write_image(tmp_path / 'reference/a.png', rng, (48, 40))
    images = dict(
        type='FolderDataset', data_root=str(tmp_path), images='target', references='reference'
    )
    items = items_of(ReferencePairs(images=images, size=(12, 16)))
    assert {names_of(item) for item in items} == {('a.png', 'a.png'), ('b.png', '')}
    for item in items:
        assert item['target'].shape == item['reference'].shape == (3, 12, 16)


def test_shrinking_averages_the_pixels(tmp_path, rng):
    image = write_image(tmp_path / 'a.png', rng, (24, 32))
    dataset = ReferencePairs(images=dict(type='FolderDataset', images=str(tmp_path)), size=(12, 16))
    mean = image.reshape(12, 2, 16, 2, 3).astype(float).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(dataset[0]['target'].numpy() - mean).max() <= 0.5


# --- lists -----------------------------------------------------------------------------------


def write_list(tmp_path, text):
    (tmp_path / 'pairs.csv').write_text(text)
    return str(tmp_path / 'pairs.csv')


def test_a_list_of_pairs(tmp_path, rng):
    for name in 'abc':
        write_image(tmp_path / f'{name}.png', rng)
    file = write_list(tmp_path, 'reference,target,flow\na.png,b.png,x\n,c.png,\n')
    items = items_of(PairList(pairs=file, size=SIZE))
    assert {names_of(item) for item in items} == {('b.png', 'a.png'), ('c.png', '')}


@pytest.mark.parametrize(
    'text, message',
    [
        ('a.png,b.png\n', 'must name the columns target,reference'),
        ('', 'the file is empty'),
        ('target,reference\n', 'there are no pairs'),
        ('target,reference\na.png,a.png\n,a.png\n', 'line 3: no target'),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path, rng, text, message):
    write_image(tmp_path / 'a.png', rng)
    with pytest.raises(DataError, match=message):
        PairList(pairs=write_list(tmp_path, text), size=SIZE)


def test_missing_files_are_named(tmp_path, rng):
    write_image(tmp_path / 'a.png', rng)
    with pytest.raises(FileNotFoundError, match='1 of 2 images are missing.*gone.png'):
        PairList(pairs=write_list(tmp_path, 'target,reference\na.png,gone.png\n'), size=SIZE)
    with pytest.raises(FileNotFoundError, match='nowhere.csv does not exist'):
        PairList(pairs=str(tmp_path / 'nowhere.csv'), size=SIZE)


# --- MegaDepth -------------------------------------------------------------------------------


def make_scene(root, name, overlap, rng, missing=()):
    paths = [f'Undistorted_SfM/{name}/images/{i}.png' for i in range(len(overlap))]
    for path in paths:
        write_image(root / path, rng)
    names = np.array([None if i in missing else p for i, p in enumerate(paths)], object)
    (root / 'scene_info').mkdir(exist_ok=True)
    np.savez(root / f'scene_info/{name}.0.npz', image_paths=names, overlap_matrix=overlap)


OVERLAP = np.array([[1.0, 0.5, 0.2, 0.9], [0.3, 1.0, 0.31, 0.9], [0.4, 0.1, 1.0, 0.9], [0.9] * 4])


def test_megadepth_takes_ordered_pairs_in_the_range_of_overlaps(tmp_path, rng):
    make_scene(tmp_path, '0001', OVERLAP, rng, missing=(3,))
    pairs = MegaDepthPairs(data_root=str(tmp_path), size=SIZE).pairs
    # by hand: above 0.3 (not at it), not with itself, not with the image that has no name
    found = {(pair.target.stem, pair.reference.stem) for pair in pairs}
    assert found == {('0', '1'), ('1', '2'), ('2', '0')}


def test_megadepth_draws_the_same_pairs_of_a_scene_every_time(tmp_path, rng):
    overlap = np.full((8, 8), 0.5)
    for name in ('0001', '0002'):
        make_scene(tmp_path, name, overlap, rng)
    (tmp_path / 'train.txt').write_text('0002\n')
    both = MegaDepthPairs(data_root=str(tmp_path), size=SIZE, pairs_per_scene=5, seed=1).pairs
    one = MegaDepthPairs(
        data_root=str(tmp_path), size=SIZE, pairs_per_scene=5, scenes='train.txt', seed=2
    ).pairs
    assert len(both) == 10 and len(set(one)) == 5
    assert set(one) == {pair for pair in both if '0002' in str(pair.target)}


def test_megadepth_reads_what_older_versions_wrote(tmp_path, rng):
    """Names as an array of objects in protocol 2, in a file without the `.0`."""
    make_scene(tmp_path, '0001', OVERLAP, rng)
    file = tmp_path / 'scene_info/0001.0.npz'
    with np.load(file, allow_pickle=True) as content:
        names = content['image_paths']
    file.unlink()
    with zipfile.ZipFile(tmp_path / 'scene_info/0001.npz', 'w') as archive:
        for name, array in (('image_paths', names), ('overlap_matrix', OVERLAP)):
            stream = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                stream, np.lib.format.header_data_from_array_1_0(array)
            )
            data = pickle.dumps(array, 2) if array.dtype == object else array.tobytes()
            archive.writestr(f'{name}.npy', stream.getvalue() + data)
    (tmp_path / 'train.txt').write_text('0001')
    dataset = MegaDepthPairs(data_root=str(tmp_path), size=SIZE, scenes='train.txt')
    assert len(dataset) == 9  # by hand: 0-1 0-3 1-2 1-3 2-0 2-3 3-0 3-1 3-2


def test_megadepth_says_what_is_missing(tmp_path, rng):
    with pytest.raises(FileNotFoundError, match='scene_info does not exist'):
        MegaDepthPairs(data_root=str(tmp_path), size=SIZE)
    make_scene(tmp_path, '0001', OVERLAP, rng)
    (tmp_path / 'train.txt').write_text('0001 0007')
    with pytest.raises(FileNotFoundError, match='1 of 2 scenes are missing.*0007'):
        MegaDepthPairs(data_root=str(tmp_path), size=SIZE, scenes='train.txt')
    with pytest.raises(FileNotFoundError, match='list of scenes .*other.txt'):
        MegaDepthPairs(data_root=str(tmp_path), size=SIZE, scenes='other.txt')


@pytest.mark.parametrize(
    'content', ['truncated', 'code', 'other arrays', 'other shape', 'addresses', 'too much']
)
def test_a_scene_file_that_cannot_be_used_is_refused(tmp_path, rng, content, monkeypatch):
    make_scene(tmp_path, '0001', OVERLAP, rng)
    file = tmp_path / 'scene_info/0001.0.npz'
    names = np.array(['a.png'] * 4, object)
    if content == 'truncated':
        file.write_bytes(file.read_bytes()[:-40])
    elif content == 'code':
        names[0] = Harmful(tmp_path / 'harm')
        np.savez(file, image_paths=names, overlap_matrix=OVERLAP)
    elif content == 'other arrays':
        np.savez(file, image_paths=names)
    elif content == 'addresses':
        names[0] = Addresses()
        np.savez(file, image_paths=names, overlap_matrix=OVERLAP)
    elif content == 'too much':
        monkeypatch.setattr('dsr_nss.matching.image_pairs.MAX_BYTES', 10**6)
        np.savez_compressed(file, image_paths=names, overlap_matrix=np.zeros(10**6))
    else:
        np.savez(file, image_paths=names, overlap_matrix=OVERLAP[:2])
    with pytest.raises(DataError, match='0001.0.npz'):
        MegaDepthPairs(data_root=str(tmp_path), size=SIZE)
    assert not (tmp_path / 'harm').exists()


class Harmful:
    """Unpickled without care it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), 'w'))


class Addresses:
    """An array whose type has numpy take the bytes of the file for the addresses of objects."""

    def __reduce__(self):
        reconstruct, arguments, state = np.zeros(1, 'V8').__reduce__()
        return reconstruct, arguments, (1, (1,), AddressType(), False, b'A' * 8)


class AddressType:
    def __reduce__(self):
        fields = {'a': (np.dtype('O'), 0)}
        return np.dtype, ('V8', False, True), (3, '|', None, ('a',), fields, 8, 1, 0)
