"""AdaBN, PreciseBN: statistics of the target or source images, everything else stays."""

import cv2
import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

import dsr_nss
import dsr_nss.inference.adapt_batch_norm as module
from dsr_nss.classes import CLASSES
from dsr_nss.errors import ConfigError
from dsr_nss.evaluation.evaluate import evaluate
from dsr_nss.inference.adapt_batch_norm import adapt_batch_norm, renew_statistics
from dsr_nss.inference.load import load_model, read_model_config
from tests.datasets.tiny_sets import write_image
from tests.inference.test_load import ADAPTATION


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def config(tmp_path, rng):
    for i in range(3):
        write_image(tmp_path / f'night/{i}.png', rng, (64, 96))
        write_image(tmp_path / f'day/{i}.png', rng, (64, 64))
        label = rng.integers(0, 19, (64, 96), np.uint8)
        (tmp_path / 'labels').mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f'labels/{i}.png'), label)
    (tmp_path / 'config.py').write_text(
        ADAPTATION.replace('CLASSES', repr(CLASSES))
        + "train_dataloader = dict(dataset=dict(target=dict(type='FolderDataset', "
        f"images='{tmp_path}/night'), "
        f"source=dict(type='FolderDataset', images='{tmp_path}/day')))\n"
        "test_sets = dict(night_val=dict(type='FolderDataset', "
        f"images='{tmp_path}/night', labels='{tmp_path}/labels', pipeline=["
        "dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), "
        "dict(type='PackSegInputs')]))\n"
    )
    return read_model_config(tmp_path / 'config.py')


@pytest.fixture
def checkpoint(config, tmp_path):
    torch.manual_seed(0)
    torch.save({'state_dict': MODELS.build(config.model).state_dict()}, tmp_path / 'run.pth')
    return tmp_path / 'run.pth'


@pytest.mark.parametrize(('batch_norms', 'folder'), [('adabn', 'night'), ('precise', 'day')])
def test_statistics_are_the_mean_over_the_images(config, checkpoint, tmp_path, batch_norms, folder):
    before = load_model(config, checkpoint)
    norm, seen = before.decode_head.convs[0].bn, []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].double()))
    for path in sorted((tmp_path / folder).iterdir()):
        image = torch.from_numpy(cv2_bgr(path))
        with torch.no_grad():
            batch = before.data_preprocessor({'inputs': [image], 'data_samples': None}, False)
            before.encode_decode(batch['inputs'])

    done = adapt_batch_norm(config, checkpoint, tmp_path / 'adabn.pth', batch_norms=batch_norms)
    assert done == (3, 2)  # one of the convolution, one of the concatenation
    after = load_model(config, tmp_path / 'adabn.pth')
    mean = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    variance = torch.stack([x.transpose(0, 1).flatten(1).var(1) for x in seen]).mean(0)
    adapted = after.decode_head.convs[0].bn
    torch.testing.assert_close(adapted.running_mean.double(), mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(adapted.running_var.double(), variance, rtol=1e-4, atol=1e-5)
    for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
        assert torch.equal(old, new), name


def test_the_file_still_says_what_it_is(config, checkpoint, tmp_path):
    content = torch.load(checkpoint)
    text, names = config.pretty_text, tuple(f'kind {i}' for i in range(19))
    config.classes = dict(names=names)
    content['meta'] = dict(cfg=text, dataset_meta=dict(classes=names))
    torch.save(content, checkpoint)
    adapt_batch_norm(config, checkpoint, tmp_path / 'adabn.pth')
    predictor = dsr_nss.load(tmp_path / 'adabn.pth', device='cpu')
    assert predictor.names == names
    meta = torch.load(tmp_path / 'adabn.pth')['meta']
    assert meta['provenance']['source'] == 'run.pth'
    assert meta['provenance']['notes'] == ['batch norms: adabn, statistics of 3 images']


def cv2_bgr(path):
    return cv2.imread(str(path)).transpose(2, 0, 1).copy()


@pytest.mark.parametrize('batch_norms', ['adabn', 'precise'])
def test_a_test_renews_them_itself(config, checkpoint, tmp_path, batch_norms):
    def scores(path, **kwargs):
        found = evaluate(config, path, device='cpu', workers=0, progress=False, **kwargs)
        return {key: value for key, value in found.items() if 'IoU' in key}

    adapt_batch_norm(config, checkpoint, tmp_path / 'kept.pth', batch_norms=batch_norms)
    renewed = scores(checkpoint, batch_norms=batch_norms)
    assert renewed == scores(tmp_path / 'kept.pth') != scores(checkpoint)


def test_images_have_the_size_of_the_training(config, checkpoint, tmp_path, monkeypatch):
    config.train_dataloader.dataset.target_scale = (32, 48)
    seen = []
    kind = type(load_model(config, checkpoint))
    plain = kind.encode_decode
    monkeypatch.setattr(
        kind,
        'encode_decode',
        lambda self, x, metas=None: seen.append(x.shape) or plain(self, x, metas),
    )
    adapt_batch_norm(config, checkpoint, tmp_path / 'adabn.pth')
    assert seen == [(1, 3, 32, 48)] * 3


def test_what_cannot_be_adapted_is_named(config, checkpoint, tmp_path):
    config.model.student.decode_head.norm_cfg = dict(type='GN', num_groups=1)
    torch.save({'state_dict': MODELS.build(config.model).state_dict()}, checkpoint)
    with pytest.raises(ConfigError, match='no batch norm'):
        adapt_batch_norm(config, checkpoint, tmp_path / 'adabn.pth')
    config.train_dataloader = None
    with pytest.raises(ConfigError, match='train_dataloader.dataset.target'):
        adapt_batch_norm(config, checkpoint, tmp_path / 'adabn.pth')


def test_a_network_whose_preprocessor_pads_images_of_a_test(config, checkpoint, tmp_path):
    config.model.data_preprocessor.test_cfg = dict(size_divisor=40)
    model = load_model(config, checkpoint)
    norm, seen = model.decode_head.convs[0].bn, []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].double()))
    assert renew_statistics(model, config, 'adabn').images == len(seen) == 3
    mean = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    torch.testing.assert_close(norm.running_mean.double(), mean, rtol=1e-4, atol=1e-5)


def test_a_norm_of_a_pooled_image_is_refused(config, checkpoint):
    model = load_model(config, checkpoint)
    convolution = model.decode_head.convs[0]
    convolution.register_forward_pre_hook(lambda _, x: (x[0].mean((2, 3), keepdim=True),))
    with pytest.raises(ConfigError, match='EncoderDecoder of this config sees one value of an'):
        renew_statistics(model, config, 'adabn')


def test_a_destination_is_checked_before_the_images_are_read(
    config, checkpoint, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, 'renew_statistics', None)
    before = checkpoint.read_bytes()
    for destination, problem in ((checkpoint, 'different files'), (tmp_path, 'is a folder')):
        with pytest.raises(ConfigError, match=problem):
            adapt_batch_norm(config, checkpoint, destination)
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError, match='cannot write to'):
        adapt_batch_norm(config, checkpoint, tmp_path / 'file/out.pth')
    assert checkpoint.read_bytes() == before


def test_the_network_of_the_package_is_named_in_what_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'renew_statistics', lambda *_: module.AdaptedNorms(3, 4))
    config = read_model_config('dsr_nss::protocol/source_nightscape')
    name = 'dsr_nss::protocol/source_nightscape.safetensors'
    adapt_batch_norm(config, name, tmp_path / 'out.pth')
    meta = torch.load(tmp_path / 'out.pth', weights_only=True)['meta']
    assert meta['provenance']['source'] == 'source_nightscape.safetensors'
