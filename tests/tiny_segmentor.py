"""A tiny plain mmseg segmentor, its checkpoint, and folders of images and labels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from PIL import Image

from dsr_nss.inference import predictor as predictor_module
from dsr_nss.inference.files import infer
from dsr_nss.inference.load import read_model_config

SIZES = ((24, 40), (30, 26), (24, 40))

CONFIG = """
default_scope = 'mmseg'
custom_imports = dict(imports=['dsr_nss'], allow_failed_imports=False)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True,
        test_cfg=dict(size_divisor=8),
    ),
    backbone=dict(
        type='UNet', base_channels=4, num_stages=2, strides=(1, 1), enc_num_convs=(1, 1),
        dec_num_convs=(1,), downsamples=(True,), enc_dilations=(1, 1), dec_dilations=(1,),
        norm_cfg=dict(type='SyncBN'),
    ),
    decode_head=dict(
        type='FCNHead', in_channels=4, in_index=1, channels=4, num_convs=0, concat_input=False,
        num_classes=19, norm_cfg=dict(type='BN'),
    ),
    test_cfg=dict(mode='whole'),
)
pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')
]
test_sets = dict(
    night_val=dict(
        type='FolderDataset', data_root='ROOT', images='images', labels='labels', pipeline=pipeline
    ),
    other_val=dict(
        type='FolderDataset', data_root='ROOT', images='images', labels='labels', pipeline=pipeline,
        indices=2,
    ),
    night_test=dict(
        type='FolderDataset', data_root='ROOT', images='images',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')],
    ),
)
default_test_sets = ['night_val']
"""


def write_folders(root: Path) -> None:
    """Three images of two sizes, two of them with the same stem in different folders."""
    rng = np.random.default_rng(0)
    for file, size in zip(('a/0', 'b/0', 'b/1'), SIZES, strict=True):
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        label = rng.choice([0, 1, 2, 5, 11, 13, 255], size).astype(np.uint8)
        for folder, array, suffix in (('images', image, 'jpg'), ('labels', label, 'png')):
            path = root / folder / f'{file}.{suffix}'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """Folder with `images` and `labels`."""
    write_folders(tmp_path / 'data')
    return tmp_path / 'data'


@pytest.fixture
def config_file(tmp_path: Path, data_root: Path) -> Path:
    """Config of a plain segmentor with three test sets."""
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.replace('ROOT', str(data_root)))
    return path


def make_segmentor(config_file: Path, seed: int = 0) -> torch.nn.Module:
    """The config's model with random weights that predict several classes."""
    torch.manual_seed(seed)
    model = MODELS.build(Config.fromfile(str(config_file)).model)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def describing_checkpoint(folder: Path, seed: int = 0) -> Path:
    """A checkpoint in that folder that carries its config, as the runner writes it."""
    config = folder / 'config.py'
    config.write_text(CONFIG)
    meta = dict(iter=1, cfg=Config.fromfile(str(config)).pretty_text)
    path = folder / f'iter_{seed + 1}.pth'
    torch.save(dict(meta=meta, state_dict=make_segmentor(config, seed).state_dict()), path)
    return path


@pytest.fixture
def checkpoint(tmp_path: Path, config_file: Path) -> Path:
    """Its checkpoint, in mmengine's layout."""
    path = tmp_path / 'iter_1.pth'
    state = make_segmentor(config_file).state_dict()
    torch.save(dict(meta=dict(iter=1), state_dict=state), path)
    return path


@pytest.fixture
def predict(config_file, checkpoint):
    def call(inputs, out, **options):
        options = dict(device='cpu') | options
        inputs = inputs if isinstance(inputs, list) else [inputs]
        return infer(read_model_config(config_file), checkpoint, inputs, out, **options)

    return call


@pytest.fixture
def seen(monkeypatch):
    """Sizes of the batches that went through the network."""
    sizes = []
    real = predictor_module.predict_batch

    def count(model, data, *args, **options):
        sizes.append(len(data['inputs']))
        return real(model, data, *args, **options)

    monkeypatch.setattr(predictor_module, 'predict_batch', count)
    return sizes
