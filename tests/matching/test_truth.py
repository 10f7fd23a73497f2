"""Pairs with a known flow: nightscape's truth, flow files, lists of points."""

import io
import zipfile

import numpy as np
import pytest

import dsr_nss  # noqa: F401  registers the classes
from dsr_nss.errors import DataError
from dsr_nss.matching.truth import listed_pairs, read_flow, true_pairs
from tests.datasets.tiny_sets import SIZE, make_dark_zurich, write_image


def make_truth(root):
    """A tiny nightscape: the flow of train pair i is (i, 2i), known at two pixels."""
    make_dark_zurich(root / 'dark_zurich')
    (root / 'truth/flow').mkdir(parents=True)
    for i in range(4):
        flow = np.stack([np.full(SIZE, i), np.full(SIZE, 2 * i)]).astype(np.float32)
        valid = np.zeros(SIZE, bool)
        valid[3, 4] = valid[5, 6] = True
        occluded = np.zeros(SIZE, bool)
        occluded[5, 6] = True
        file = root / f'truth/flow/GOPR1_frame_{i:06d}.npz'
        np.savez(file, flow=flow, valid=valid, occluded=occluded)
    return root


def test_nightscape(tmp_path):
    pairs = true_pairs('nightscape', make_truth(tmp_path))
    assert [pair.name for pair in pairs] == [f'GOPR1_frame_{i:06d}' for i in range(4)]
    truth = pairs[2].read()
    assert truth.points.tolist() == [[4, 3], [6, 5]]
    assert truth.matches.tolist() == [[6, 7], [8, 9]] and truth.size == SIZE
    assert truth.visible.tolist() == [True, False]
    assert 'frame_000007' in pairs[2].reference.name


def test_a_set_without_truth_is_no_nightscape(tmp_path):
    make_dark_zurich(tmp_path / 'dark_zurich')
    with pytest.raises(FileNotFoundError, match='make_nightscape'):
        true_pairs('nightscape', tmp_path)


def test_a_flow_without_masks_is_valid_where_it_is_finite(tmp_path):
    flow = np.zeros((2, 2, 2), np.float32)
    flow[0, 1, 1], flow[1, 0, 0] = 2.5, np.nan
    np.savez(tmp_path / 'flow.npz', flow=flow)
    truth = read_flow(tmp_path / 'flow.npz')
    assert truth.points.tolist() == [[1, 0], [0, 1], [1, 1]]
    assert truth.matches.tolist() == [[1, 0], [0, 1], [3.5, 1]]
    assert truth.visible is None


@pytest.mark.parametrize(
    'arrays',
    [dict(x=np.zeros(2)), dict(flow=np.zeros((3, 4))), dict(flow=np.full((2, 3, 4), 'a'))],
)
def test_another_file_is_no_flow(tmp_path, arrays):
    np.savez(tmp_path / 'flow.npz', **arrays)
    with pytest.raises(DataError, match='flow.npz'):
        read_flow(tmp_path / 'flow.npz')


def test_a_flow_that_is_cut_off_or_not_finite_is_refused(tmp_path):
    flow = np.zeros((2, *SIZE), np.float32)
    flow[0, 1, 1] = np.inf
    np.savez(tmp_path / 'flow.npz', flow=flow, valid=np.ones(SIZE, bool))
    with pytest.raises(DataError, match='not finite at pixels that are valid'):
        read_flow(tmp_path / 'flow.npz')
    content = (tmp_path / 'flow.npz').read_bytes()
    (tmp_path / 'flow.npz').write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match='flow.npz: no flow can be read'):
        read_flow(tmp_path / 'flow.npz')


def test_a_flow_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr('dsr_nss.matching.truth.MOST_BYTES', 10**6)
    np.savez_compressed(tmp_path / 'flow.npz', flow=np.zeros((2, 500, 500), np.float32))
    with pytest.raises(DataError, match='unpacks to more than 1,000,000 bytes'):
        read_flow(tmp_path / 'flow.npz')
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, dict(descr='<f4', fortran_order=False, shape=(2, 2**30, 2**20))
    )
    with zipfile.ZipFile(tmp_path / 'flow.npz', 'w') as archive:
        archive.writestr('flow.npy', header.getvalue())
    with pytest.raises(DataError, match='no flow can be read'):
        read_flow(tmp_path / 'flow.npz')


def test_a_list_of_flows(tmp_path):
    for name in ('a', 'b'):
        write_image(tmp_path / f'{name}.png', np.random.default_rng(0))
    np.savez(tmp_path / 'f.npz', flow=np.ones((2, *SIZE), np.float32))
    (tmp_path / 'pairs.csv').write_text('target,reference,flow\na.png,b.png,f.npz\n')
    (pair,) = true_pairs(str(tmp_path / 'pairs.csv'))
    assert (pair.name, pair.target.name, pair.reference.name) == ('00001_a', 'a.png', 'b.png')
    assert (pair.read().matches - pair.read().points == 1).all()


HEAD = 'scene,source_image,target_image,XA,YA,XB,YB\n'


def test_megadepths_list_of_points(tmp_path):
    images = tmp_path / 'Test/test1600Pairs'
    for name in ('s1/a.png', 's1/b.png', 'c.png'):
        write_image(images / name, np.random.default_rng(0))
    lines = 's1,a.png,b.png,1;2,3;4,5;6,7;8.5\n/,c.png,c.png,0,0,1,1\n'
    (tmp_path / 'Test/test1600Pairs.csv').write_text(HEAD + lines)
    first, second = true_pairs('megadepth', tmp_path)
    # B is the target, A what its points lie at in the source, our reference
    assert (first.target, first.reference) == (images / 's1/b.png', images / 's1/a.png')
    assert first.read().points.tolist() == [[5, 7], [6, 8.5]]
    assert first.read().matches.tolist() == [[1, 3], [2, 4]]
    assert second.target == images / 'c.png' and first.name == '00001_b'


@pytest.mark.parametrize(
    'text, message',
    [
        ('a,b\n1,2\n', 'needs the columns'),
        (HEAD + 's,a,b,1;x,1,1,1\n', 'line 2: the points are not numbers'),
        (HEAD + 's,a,b,1;nan,1;1,1;1,1;1\n', 'line 2: the points are not numbers'),
        (HEAD + 's,a,b,1;2,1,1,1\n', 'different numbers of points'),
        (HEAD + 's,,b,1,1,1,1\n', 'line 2: no source_image'),
        ('target,reference,flow\na.png\n', 'line 2: no reference'),
    ],
)
def test_lists_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / 'pairs.csv').write_text(text)
    with pytest.raises(DataError, match=message):
        listed_pairs(tmp_path / 'pairs.csv', tmp_path)


def test_a_cell_of_many_points(tmp_path):
    points = ';'.join(f'{i}.25' for i in range(30_000))  # more than csv takes by itself
    (tmp_path / 'pairs.csv').write_text(f'{HEAD}s,a,b,{points},{points},{points},{points}\n')
    (pair,) = listed_pairs(tmp_path / 'pairs.csv', tmp_path)
    assert len(pair.read().points) == 30_000


def test_what_is_not_there(tmp_path):
    with pytest.raises(DataError, match='neither nightscape'):
        true_pairs('cityscapes')
    with pytest.raises(FileNotFoundError, match='test6511.csv does not exist'):
        true_pairs('robotcar', tmp_path)
    (tmp_path / 'pairs.csv').write_text('target,reference,flow\n')
    with pytest.raises(DataError, match='no pairs with a known flow'):
        true_pairs(str(tmp_path / 'pairs.csv'))
    (tmp_path / 'pairs.csv').write_text('target,reference,flow\na.png,b.png,f.npz\n')
    with pytest.raises(FileNotFoundError, match='line 2: the flow .*f.npz does not exist'):
        true_pairs(str(tmp_path / 'pairs.csv'))
    np.savez(tmp_path / 'f.npz', flow=np.ones((2, *SIZE), np.float32))
    with pytest.raises(FileNotFoundError, match='2 of 2 images are missing'):
        true_pairs(str(tmp_path / 'pairs.csv'))
