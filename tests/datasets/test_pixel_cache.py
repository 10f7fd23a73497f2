"""Items out of a cache are those of the files; a cache that does not fit stops the program."""

import os

import cv2
import numpy as np
import pytest
import torch
from mmseg.registry import DATASETS
from torch.utils.data import DataLoader

from dsr_nss.datasets import DataError, StepSampler, pixels
from dsr_nss.datasets.pixel_cache import HEADER, entry_path
from dsr_nss.datasets.pixels import PixelFile
from dsr_nss.datasets.preparation.pixel_cache import plan_cache, write_cache
from tests.datasets.tiny_sets import (
    make_cityscapes,
    make_dark_zurich,
    make_folder,
    same,
    write_label,
)


def settings(tmp_path, **changes):
    if not (tmp_path / 'cs').exists():
        make_cityscapes(tmp_path / 'cs')
        make_dark_zurich(tmp_path / 'dz')
    return {
        **dict(
            type='SourceTargetDataset',
            source=dict(type='Cityscapes', data_root=str(tmp_path / 'cs'), split='train'),
            target=dict(type='DarkZurich', data_root=str(tmp_path / 'dz'), split='train'),
            crop_size=(12, 16),
            rare_class_sampling=dict(min_pixel_share=0.1),
            seed=3,
        ),
        **changes,
    }


def fill(tmp_path, config):
    return write_cache(plan_cache(config, tmp_path / 'cache'))


def build(tmp_path, config):
    return DATASETS.build({**config, 'cache': str(tmp_path / 'cache')})


@pytest.mark.parametrize(
    'changes',
    [
        {},
        dict(source_scale=(16, 20), target_scale=(18, 30)),
        dict(crop_size=(24, 32)),  # the whole image
        dict(target=None, rare_class_sampling=None),
    ],
)
def test_items_are_the_same(tmp_path, changes):
    config = settings(tmp_path, **changes)
    fill(tmp_path, config)
    plain, cached = DATASETS.build(config), build(tmp_path, config)
    for number in range(20):
        same(plain[number], cached[number])


def test_items_own_their_pixels(tmp_path):
    """Nothing can write into the cache, and no item keeps an entry open."""
    config = settings(tmp_path, crop_size=(24, 32), flip=0.0)
    fill(tmp_path, config)
    dataset = build(tmp_path, config)
    first = dataset[0]
    for value in first.values():
        if torch.is_tensor(value):
            value.zero_()
    same(dataset[0], DATASETS.build(config)[0])


def test_jpeg_sets_without_references(tmp_path):
    folder = make_folder(tmp_path / 'set', references=True)
    target = dict(
        type='FolderDataset', data_root=str(folder), images='images', references='references'
    )
    config = settings(tmp_path, target=target)
    fill(tmp_path, config)
    plain, cached = DATASETS.build(config), build(tmp_path, config)
    for number in range(6):
        same(plain[number], cached[number])


def test_workers_read_it(tmp_path):
    config = settings(tmp_path)
    fill(tmp_path, config)
    cached = build(tmp_path, config)
    plain = DATASETS.build(config)
    loader = iter(DataLoader(cached, batch_size=2, sampler=StepSampler(cached), num_workers=2))
    for step in range(3):
        batch = next(loader)
        for i in range(2):
            item = plain[2 * step + i]
            for key in ('source_image', 'source_label', 'night_image', 'reference_image'):
                assert torch.equal(batch[key][i], item[key])


def test_sets_of_two_sizes_share_a_cache(tmp_path):
    full, half = settings(tmp_path), settings(tmp_path, source_scale=(12, 16), crop_size=(8, 8))
    fill(tmp_path, full)
    with pytest.raises(DataError, match='of 16 entries 8 missing'):
        build(tmp_path, half)
    assert fill(tmp_path, half) == [f'{tmp_path}/cache: 8 entries written, 8 were there']
    build(tmp_path, full)
    build(tmp_path, half)


def first_file(tmp_path):
    image = tmp_path / 'cs/leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png'
    return PixelFile(str(image), False, None)


def test_no_cache(tmp_path):
    with pytest.raises(DataError) as error:
        build(tmp_path, settings(tmp_path))
    message = str(error.value)
    assert 'of 16 entries 16 missing' in message and 'prepare_data.py --cache CONFIG' in message
    assert 'leave out the field `cache`' in message


@pytest.mark.parametrize('change', ['time', 'pixels'])
def test_a_changed_image_is_noticed_and_written_anew(tmp_path, rng, change):
    config = settings(tmp_path)
    fill(tmp_path, config)
    path = first_file(tmp_path).path
    if change == 'time':
        os.utime(path, (1, 1))
    else:
        status = os.stat(path)
        cv2.imwrite(path, np.zeros((24, 32, 3), np.uint8))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DataError, match=r'1 out of date \(first: .*aachen_000000'):
        build(tmp_path, config)
    assert '1 entries written, 15' in fill(tmp_path, config)[0]
    same(build(tmp_path, config)[0], DATASETS.build(config)[0])


def test_another_opencv_may_resize_otherwise(tmp_path, monkeypatch):
    full, half = settings(tmp_path), settings(tmp_path, source_scale=(12, 16), crop_size=(8, 8))
    fill(tmp_path, full)
    fill(tmp_path, half)
    monkeypatch.setattr(pixels.cv2, '__version__', '9.9')
    build(tmp_path, full)  # PNGs at their own size are the same for any decoder
    with pytest.raises(DataError, match='8 out of date'):
        build(tmp_path, half)


@pytest.mark.parametrize('keep', [0, 100, HEADER, HEADER + 50])
def test_an_incomplete_entry_is_noticed_at_the_start(tmp_path, keep):
    config = settings(tmp_path)
    fill(tmp_path, config)
    entry = entry_path(tmp_path / 'cache', first_file(tmp_path))
    entry.write_bytes(entry.read_bytes()[:keep])
    with pytest.raises(DataError, match='1 damaged'):
        build(tmp_path, config)
    assert '1 entries written, 15' in fill(tmp_path, config)[0]
    build(tmp_path, config)


def test_damaged_pixels_are_noticed_when_they_are_read(tmp_path):
    config = settings(tmp_path, target=None, rare_class_sampling=None)
    fill(tmp_path, config)
    entry = entry_path(tmp_path / 'cache', first_file(tmp_path))
    data = bytearray(entry.read_bytes())
    data[-1] ^= 1
    entry.write_bytes(data)
    dataset = build(tmp_path, config)  # the pixels are not read at the start
    with pytest.raises(DataError) as error:
        for number in range(4):
            dataset[number]
    assert str(entry) in str(error.value) and '--cache CONFIG' in str(error.value)
    assert '1 entries written, 7' in fill(tmp_path, config)[0]
    for number in range(4):
        dataset[number]


def test_an_entry_that_goes_during_the_run(tmp_path):
    config = settings(tmp_path, target=None, rare_class_sampling=None)
    fill(tmp_path, config)
    dataset = build(tmp_path, config)
    for entry in (tmp_path / 'cache').rglob('*.u8'):
        entry.unlink()
    with pytest.raises(DataError, match='entry has vanished'):
        dataset[0]


def test_paths_of_entries():
    def entry(path, size=None):
        return entry_path(pixels.Path('c'), PixelFile(path, False, size)).as_posix()

    assert entry('data/x/a.png') == 'c/native/images/relative/data/x/a.png.u8'
    assert entry('./data//x/a.png', (4, 6)) == 'c/4x6/images/relative/data/x/a.png.u8'
    assert entry('/data/x/a.png') == 'c/native/images/absolute/data/x/a.png.u8'
    assert entry('../x/a.png') == 'c/native/images/relative/up/x/a.png.u8'


def test_sizes_of_the_files_are_compared_although_the_entries_agree(tmp_path, rng):
    make_folder(tmp_path / 'set', count=1)
    write_label(tmp_path / 'set/labels/a/0.png', np.zeros((24, 28)))
    source = dict(
        type='FolderDataset', data_root=str(tmp_path / 'set'), images='images', labels='labels'
    )
    config = settings(
        tmp_path, source=source, source_scale=(12, 16), rare_class_sampling=None, crop_size=(8, 8)
    )
    fill(tmp_path, config)
    with pytest.raises(DataError, match=r'0\.jpg is 24x32 .* its label .*0\.png is 24x28'):
        build(tmp_path, config)[0]
