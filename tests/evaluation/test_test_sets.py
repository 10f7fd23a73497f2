"""Sets from a config and from folders."""

import pytest

from dsr_nss.classes import CLASSES, PALETTE
from dsr_nss.errors import ConfigError, DataError
from dsr_nss.evaluation.test_sets import folder_dataset, prediction_names, select_datasets
from dsr_nss.inference.load import read_model_config


def test_unmatched_folders(data_root):
    meta = dict(classes=CLASSES, palette=PALETTE)
    (data_root / 'labels/b/extra.png').write_bytes((data_root / 'labels/b/1.png').read_bytes())
    with pytest.raises(DataError, match=r'1 labels .* have no image, the first: .*extra\.png'):
        folder_dataset(data_root / 'images', data_root / 'labels', meta)
    (data_root / 'labels/b/extra.png').unlink()
    (data_root / 'labels/a/0.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 3 images have no label.*a/0\.jpg'):
        folder_dataset(data_root / 'images', data_root / 'labels', meta)
    with pytest.raises(FileNotFoundError, match='nowhere'):
        folder_dataset(data_root / 'nowhere', None, meta)


def test_names_keep_folders(config_file):
    dataset = select_datasets(read_model_config(config_file))['night_val']
    assert prediction_names(dataset) == ['a/0', 'b/0', 'b/1']


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('type', 'FolderDatset', 'test_sets.night_val: .FolderDatset is not in'),
        ('image', 'x', "test_sets.night_val: .*'image'"),
    ],
)
def test_a_typing_error_is_named(config_file, field, value, message):
    config = read_model_config(config_file)
    config.test_sets.night_val[field] = value
    with pytest.raises(ConfigError, match=message):
        select_datasets(config)


def test_a_set_without_images_is_named(config_file, data_root):
    """mmseg's own sets look for `.jpg`."""
    config = read_model_config(config_file)
    prefix = dict(img_path='labels/b', seg_map_path='labels/b')
    config.test_sets.night_val = dict(
        type='BaseSegDataset', data_root=str(data_root), data_prefix=prefix, pipeline=[]
    )
    with pytest.raises(DataError, match='night_val has no image: .* img_suffix'):
        select_datasets(config)
