"""The training items: content, determinism, shared crop and flip, and every kind of bad input."""

from itertools import islice

import cv2
import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from mmseg.registry import DATASETS
from torch.utils.data import DataLoader

from dsr_nss.classes import CLASSES
from dsr_nss.datasets import DataError, StepSampler
from tests.datasets.tiny_sets import (
    make_cityscapes,
    make_dark_zurich,
    make_folder,
    random_label,
    same,
    write_image,
    write_label,
)

CROP = (12, 16)


def build(tmp_path, **kwargs):
    if not (tmp_path / 'cs').exists():
        make_cityscapes(tmp_path / 'cs')
        make_dark_zurich(tmp_path / 'dz')
    arguments = dict(
        type='SourceTargetDataset',
        source=dict(type='Cityscapes', data_root=str(tmp_path / 'cs'), split='train'),
        target=dict(type='DarkZurich', data_root=str(tmp_path / 'dz'), split='train'),
        crop_size=CROP,
    )
    return DATASETS.build({**arguments, **kwargs})


def folders(tmp_path, **kwargs):
    source = dict(type='FolderDataset', data_root=str(tmp_path), images='images', labels='labels')
    return build(tmp_path, source=source, target=None, **kwargs)


def test_keys_types_and_shapes(tmp_path):
    dataset = build(tmp_path)
    item = dataset[0]
    assert set(item) == {
        'source_image', 'source_label', 'source_file', 'night_image', 'reference_image',
        'has_reference', 'night_file', 'reference_file',
    }  # fmt: skip
    for key in ('source_image', 'night_image', 'reference_image'):
        assert item[key].shape == (3, *CROP) and item[key].dtype == torch.uint8
    assert item['source_label'].shape == CROP and item['source_label'].dtype == torch.uint8
    assert item['has_reference'].shape == () and item['has_reference'].item() is True
    assert item['source_file'].endswith('_leftImg8bit.png')
    assert '/night/' in item['night_file'] and '/day/' in item['reference_file']
    assert len(dataset) == 4
    assert dataset.metainfo['classes'] == CLASSES


def test_without_target(tmp_path):
    dataset = build(tmp_path, target=None)
    assert set(dataset[0]) == {'source_image', 'source_label', 'source_file'}
    assert len(dataset) == 4


def test_target_without_references(tmp_path):
    root = make_folder(tmp_path / 'night', labels=False)
    dataset = build(tmp_path, target=dict(type='FolderDataset', images=str(root / 'images')))
    item = dataset[0]
    assert not item['has_reference'] and not item['reference_image'].any()
    assert item['reference_file'] == ''


def test_collates(tmp_path):
    batch = next(iter(DataLoader(build(tmp_path), batch_size=2)))
    assert batch['night_image'].shape == (2, 3, *CROP)
    assert batch['has_reference'].shape == (2,) and len(batch['night_file']) == 2


def test_image_label_and_reference_are_cut_alike(tmp_path):
    # the images carry their own pixel positions, so the crop can be read off
    rows, columns = np.mgrid[:24, :32].astype(np.uint8)
    position = np.stack([rows, columns, rows * 0 + 5], -1)
    for name in ('images/0.png', 'night/0.png', 'day/0.png'):
        (tmp_path / name).parent.mkdir()
        cv2.imwrite(str(tmp_path / name), position[..., ::-1])
    write_label(tmp_path / 'labels/0.png', (columns // 8) + 4 * (rows // 12))
    target = dict(type='FolderDataset', data_root=str(tmp_path), images='night', references='day')
    source = dict(type='FolderDataset', data_root=str(tmp_path), images='images', labels='labels')
    dataset = build(tmp_path, source=source, target=target)
    mirrored, starts = [], set()
    for i in range(40):
        item = dataset[i]
        red, green, blue = item['source_image'].int()
        assert (blue == 5).all()
        assert torch.equal(item['source_label'].int(), green // 8 + 4 * (red // 12))
        assert torch.equal(item['night_image'], item['reference_image'])
        line = item['night_image'][1, 0].int()
        steps = line.diff()
        assert (steps == 1).all() or (steps == -1).all()
        mirrored.append(bool((steps == -1).all()))
        starts.add((int(item['night_image'][0, 0, 0]), int(line.min())))
    assert 8 < sum(mirrored) < 32 and len(starts) > 20


@pytest.mark.parametrize('flip', [0.0, 1.0])
def test_flip_probability(tmp_path, flip):
    dataset = build(tmp_path, flip=flip, crop_size=(24, 32))
    item = dataset[0]
    whole = cv2.imread(item['night_file'])[..., ::-1].copy()
    whole = whole[:, ::-1] if flip else whole
    np.testing.assert_array_equal(item['night_image'].permute(1, 2, 0).numpy(), whole)


def test_same_seed_same_items(tmp_path):
    sampling = dict(min_pixel_share=0.1)
    one, two = (build(tmp_path, rare_class_sampling=sampling, seed=5) for _ in range(2))
    for i in (0, 3, 17):
        same(one[i], two[i])
    other = build(tmp_path, rare_class_sampling=sampling, seed=6)
    assert any(not torch.equal(one[i]['night_image'], other[i]['night_image']) for i in range(4))


def test_the_seed_decides_the_crops(tmp_path):
    make_folder(tmp_path, count=1)  # one image: only its crop and flip can differ
    crops = [folders(tmp_path, seed=seed)[0]['source_image'] for seed in (1, 2, 3)]
    assert not all(torch.equal(crops[0], crop) for crop in crops[1:])


def test_an_item_does_not_depend_on_what_was_read_before(tmp_path):
    one, two = build(tmp_path), build(tmp_path)
    for i in (9, 0, 5):
        one[i]
    same(one[6], two[6])


def test_night_does_not_depend_on_the_source_settings(tmp_path):
    plain = build(tmp_path)
    rare = build(tmp_path, rare_class_sampling=dict(min_pixel_share=0.1), max_class_share=1.0)
    for i in range(6):
        assert torch.equal(plain[i]['night_image'], rare[i]['night_image'])
        assert plain[i]['night_file'] == rare[i]['night_file']


def test_every_epoch_shows_every_night_image_once_in_another_order(tmp_path):
    dataset = build(tmp_path, target=dict(
        type='DarkZurich', data_root=str(make_dark_zurich(tmp_path / 'dz6', count=6)), split='train'
    ))  # fmt: skip
    orders = [[dataset[e * 6 + i]['night_file'] for i in range(6)] for e in range(4)]
    assert all(len(set(order)) == 6 for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def batches(dataset, monkeypatch, *, workers=0, world_size=1, steps=3, total=4):
    """What all processes together read in each step, in the order of the sample numbers."""
    loaders = []
    for rank in range(world_size):
        with monkeypatch.context() as patch:
            patch.setattr('dsr_nss.datasets.sampler.get_dist_info', lambda r=rank: (r, world_size))
            sampler = StepSampler(dataset)
        size = total // world_size
        loaders.append(
            iter(DataLoader(dataset, batch_size=size, sampler=sampler, num_workers=workers))
        )
    result = []
    for _ in range(steps):
        parts = [next(loader) for loader in loaders]
        order = [(i, r) for i in range(total // world_size) for r in range(world_size)]
        result.append([{k: v[i] for k, v in parts[r].items()} for i, r in order])
    return result


@pytest.mark.parametrize(
    'setting', [dict(workers=2), dict(world_size=2), dict(workers=1, world_size=2)]
)
def test_neither_workers_nor_processes_change_the_data(tmp_path, monkeypatch, setting):
    dataset = build(tmp_path, rare_class_sampling=dict(min_pixel_share=0.1))
    expected = batches(dataset, monkeypatch)
    actual = batches(dataset, monkeypatch, **setting)
    for a, b in zip(expected, actual, strict=True):
        for x, y in zip(a, b, strict=True):
            same(x, y)


def test_skip_continues_the_run(tmp_path):
    dataset = build(tmp_path)
    sampler = StepSampler(dataset)
    sampler.skip(4)
    whole = list(islice(DataLoader(dataset, batch_size=2, sampler=StepSampler(dataset)), 4))
    rest = list(islice(DataLoader(dataset, batch_size=2, sampler=sampler), 2))
    for a, b in zip(whole[2:], rest, strict=True):
        same(a, b)


def test_rare_class_is_drawn(tmp_path, rng):
    for i in range(6):
        write_image(tmp_path / f'images/{i}.png', rng)
        label = np.zeros((24, 32))
        label[:, 16:] = 2
        if i == 4:
            label[4:16, 4:20] = 18
        write_label(tmp_path / f'labels/{i}.png', label)
    dataset = folders(tmp_path, rare_class_sampling=dict(min_pixel_share=0.2, min_crop_ratio=1.0))
    items = [dataset[i] for i in range(20)]
    assert all(item['source_file'].endswith('4.png') for item in items)
    assert np.mean([(item['source_label'] == 18).float().mean() > 0.2 for item in items]) > 0.9


def test_elements_that_are_named_twice_keep_their_labels(tmp_path, rng):
    """`indices` may repeat an image; what is drawn for a class still shows it."""
    for i, class_id in enumerate((0, 2)):
        write_image(tmp_path / f'images/{i}.png', rng)
        write_label(tmp_path / f'labels/{i}.png', np.full((24, 32), class_id))
    names = dict(data_root=str(tmp_path), images='images', labels='labels')
    source = dict(type='FolderDataset', indices=[0, 0, 1], **names)
    sampling = dict(min_pixels=1, temperature=1.0)
    dataset = build(tmp_path, source=source, target=None, rare_class_sampling=sampling)
    assert {i: list(found) for i, found in dataset.sampling.images.items()} == {0: [0, 1], 2: [2]}


def test_scales(tmp_path, rng):
    image = write_image(tmp_path / 'images/0.png', rng)
    label = rng.integers(0, 19, (24, 32), dtype=np.uint8)
    write_label(tmp_path / 'labels/0.png', label)
    night = write_image(tmp_path / 'night/0.png', rng)
    day = write_image(tmp_path / 'day/0.png', rng)
    item = build(
        tmp_path,
        source=dict(
            type='FolderDataset', data_root=str(tmp_path), images='images', labels='labels'
        ),
        target=dict(
            type='FolderDataset', data_root=str(tmp_path), images='night', references='day'
        ),
        source_scale=(12, 16),
        target_scale=(18, 20),
        crop_size=(12, 16),
        flip=0.0,
    )[0]
    small = cv2.resize(image, (16, 12), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(item['source_image'].permute(1, 2, 0).numpy(), small)
    np.testing.assert_array_equal(item['source_label'].numpy(), label[::2, ::2])
    # night and reference: the same 12x16 crop of the 18x20 image
    sizes = [cv2.resize(full, (20, 18), interpolation=cv2.INTER_LINEAR) for full in (night, day)]
    places = [
        {
            (top, left)
            for top in range(7)
            for left in range(5)
            if np.array_equal(full[top : top + 12, left : left + 16], cut.permute(1, 2, 0).numpy())
        }
        for full, cut in zip(sizes, (item['night_image'], item['reference_image']), strict=True)
    ]
    assert places[0] == places[1] and len(places[0]) == 1


def test_mmengine_builds_the_loader(tmp_path):
    dataset = build(tmp_path)
    config = dict(
        batch_size=2,
        num_workers=0,
        dataset=dataset,
        sampler=dict(type='StepSampler'),
        collate_fn=dict(type='default_collate'),
    )
    first, second = islice(Runner.build_dataloader(config, seed=3), 2)
    assert torch.equal(first['night_image'][1], dataset[1]['night_image'])
    assert second['source_file'] == [dataset[2]['source_file'], dataset[3]['source_file']]


class TestBadInput:
    def test_crop_larger_than_the_image(self, tmp_path):
        with pytest.raises(DataError, match='image is 24x32.*crop_size 25x32; lower crop_size'):
            build(tmp_path, crop_size=(25, 32))[0]

    def test_image_and_label_of_different_size(self, tmp_path, rng):
        make_folder(tmp_path, count=1)
        write_label(tmp_path / 'labels/a/0.png', random_label(rng, (24, 28)))
        with pytest.raises(DataError, match=r'0\.jpg is 24x32 .* its label .*0\.png is 24x28'):
            folders(tmp_path)[0]

    def test_reference_of_another_size(self, tmp_path, rng):
        root = make_folder(tmp_path / 'night', count=1, references=True)
        write_image(root / 'references/a/0.png', rng, (24, 36))
        target = dict(
            type='FolderDataset', data_root=str(root), images='images', references='references'
        )
        with pytest.raises(DataError, match=r'its day reference .*0\.png is 24x36.*same size'):
            build(tmp_path, target=target)[0]

    def test_ids_that_are_no_train_ids(self, tmp_path):
        make_folder(tmp_path, count=1)
        write_label(tmp_path / 'labels/a/0.png', np.full((24, 32), 24))
        with pytest.raises(DataError, match=r'labels/a/0\.png: the label has the ids \[24\]'):
            folders(tmp_path)[0]

    def test_only_ignore_pixels(self, tmp_path):
        make_folder(tmp_path, count=1)
        write_label(tmp_path / 'labels/a/0.png', np.full((24, 32), 255))
        with pytest.raises(DataError, match=r'labels/a/0\.png: .* only ignore pixels'):
            folders(tmp_path)[0]

    def test_source_without_labels(self, tmp_path):
        make_folder(tmp_path, labels=False)
        source = dict(type='FolderDataset', data_root=str(tmp_path), images='images')
        with pytest.raises(DataError, match='has no labels and cannot be a source'):
            build(tmp_path, source=source)

    @pytest.mark.parametrize('part', ['source', 'target'])
    def test_a_set_of_mmseg(self, tmp_path, part):
        folders = dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train')
        root = str(make_cityscapes(tmp_path / 'x'))
        settings = dict(type='CityscapesDataset', data_root=root, data_prefix=folders)
        with pytest.raises(DataError, match=f'the {part} is a mmseg.*CityscapesDataset, which'):
            build(tmp_path, **{part: settings})

    def test_missing_statistics(self, tmp_path):
        (make_cityscapes(tmp_path / 'cs') / 'class_statistics.json').unlink()
        make_dark_zurich(tmp_path / 'dz')
        with pytest.raises(FileNotFoundError, match='prepare_data.py cityscapes'):
            build(tmp_path, rare_class_sampling=dict())

    def test_unknown_field(self, tmp_path):
        with pytest.raises(TypeError, match='crop'):
            build(tmp_path, crop=(1, 1))

    @pytest.mark.parametrize('workers', [0, 1])
    def test_the_message_survives_a_worker(self, tmp_path, workers):
        make_folder(tmp_path, count=1)
        path = tmp_path / 'images/a/0.jpg'
        path.write_bytes(path.read_bytes()[:300])
        dataset = folders(tmp_path)
        loader = DataLoader(dataset, sampler=StepSampler(dataset), num_workers=workers)
        with pytest.raises(DataError, match=r'images/a/0\.jpg: the file is truncated'):
            next(iter(loader))
