"""Pictures of what the pipeline feeds."""

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from dsr_nss.errors import ConfigError, DataError
from dsr_nss.inspection.browse import browse, class_shares


@pytest.fixture
def config(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ('images', 'night', 'references', 'labels'):
        (tmp_path / folder).mkdir()
        for i in range(2):
            if folder == 'labels':
                array = np.full((48, 64), 13, np.uint8)
                array[:12] = 10
            else:
                array = rng.integers(0, 255, (48, 64, 3), np.uint8)
            Image.fromarray(array).save(tmp_path / folder / f'{i}.png')
    root = str(tmp_path)
    source = dict(type='FolderDataset', data_root=root, images='images', labels='labels')
    target = dict(type='FolderDataset', data_root=root, images='night', references='references')
    pipeline = [
        dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs'),
    ]  # fmt: skip
    return Config(
        dict(
            train_dataloader=dict(
                dataset=dict(
                    type='SourceTargetDataset',
                    source=source,
                    target=target,
                    crop_size=(48, 64),
                    max_class_share=1.0,
                )
            ),
            test_sets=dict(val=dict(source, pipeline=pipeline)),
        )
    )


def test_training_items_and_test_sets(config, tmp_path):
    out = tmp_path / 'out'
    training = list(browse(config, 'train', 3, out))
    assert [path.name for path in training] == [f'train_{i:04d}.png' for i in range(3)]
    evaluation = list(browse(config, 'val', 5, out))
    assert [path.name for path in evaluation] == ['val_0000.png', 'val_0001.png']
    assert (
        np.asarray(Image.open(training[0])).shape[1]
        > np.asarray(Image.open(evaluation[0])).shape[1]
    )


def test_no_tile_stands_for_a_reference_that_is_not_there(config, tmp_path):
    (with_it,) = browse(config, 'train', 1, tmp_path / 'with')
    del config.train_dataloader.dataset.target['references']
    (without,) = browse(config, 'train', 1, tmp_path / 'without')
    tiles = [Image.open(path).width for path in (with_it, without)]
    assert tiles[0] / tiles[1] == pytest.approx(4 / 3, abs=0.05)


def test_pairs_of_dense_matching_have_pictures_and_no_shares(config, tmp_path):
    images = config.train_dataloader.dataset.target
    pairs = dict(type='ReferencePairs', images=images, size=(48, 64))
    config.train_dataloader.dataset = pairs
    (both,) = browse(config, 'train', 1, tmp_path / 'with')
    del images['references']
    (single,) = browse(config, 'train', 1, tmp_path / 'without')
    assert Image.open(both).width / Image.open(single).width == pytest.approx(2, abs=0.15)
    assert class_shares(config, 1) == {}


def test_test_images_keep_their_colours(config, tmp_path):
    shown = np.asarray(Image.open(next(iter(browse(config, 'val', 1, tmp_path / 'out')))))
    original = np.asarray(Image.open(tmp_path / 'images/0.png'))
    height, width = original.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(shown, (height, width, 3))
    assert (windows[:, :, 0] == original).all(axis=(2, 3, 4)).any()


def test_ids_that_are_no_class_name_the_file(config, tmp_path):
    Image.fromarray(np.full((48, 64), 33, np.uint8)).save(tmp_path / 'labels/1.png')
    with pytest.raises(DataError, match=r'labels/1\.png: the label has the ids \[33\]'):
        list(browse(config, 'val', 2, tmp_path / 'out'))


def test_class_shares_add_up(config):
    shares = class_shares(config, 2)
    assert shares['car'] == pytest.approx(75.0) and shares['sky'] == pytest.approx(25.0)
    assert sum(shares.values()) == pytest.approx(100.0)


def test_unknown_set_lists_the_known(config, tmp_path):
    with pytest.raises(ConfigError, match='val'):
        list(browse(config, 'nonsense', 1, tmp_path))
