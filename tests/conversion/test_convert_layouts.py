"""Layouts without published outputs: complete keys and the outputs of the libraries' modules."""

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from mmengine.config import Config
from mmseg.apis import init_model
from mmseg.models.backbones import MixVisionTransformer, ResNetV1c
from mmseg.registry import MODELS
from torch import nn

from dsr_nss.checkpoints import convert_mit
from dsr_nss.conversion.convert import convert_checkpoint
from dsr_nss.models.backbones import MiT
from dsr_nss.models.backbones.mit import ARCHITECTURES

MIT_B0 = [32, 64, 160, 256]
MMSEG_B0 = dict(embed_dims=32, num_layers=[2] * 4, num_heads=[1, 2, 5, 8])


def shuffled(module, seed=0):
    """Every weight and statistic drawn anew, so that no entry is like another."""
    torch.manual_seed(seed)
    for name, value in module.state_dict().items():
        if name.endswith('running_var'):
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point():
            noise = torch.randn_like(value)
            value.copy_(noise / value[0].numel() ** 0.5 if value.dim() > 1 else value + 0.1 * noise)
    module.eval()  # mmseg's ResNet does not return itself
    return module


def convert(state, tmp_path, **options):
    torch.save(state, tmp_path / 'source.pth')
    result = convert_checkpoint(
        tmp_path / 'source.pth', tmp_path / 'a.pth', config_out=tmp_path / 'a.py', **options
    )
    assert result.comparison.complete
    return result


def started(result, field='backbone'):
    """The encoder of the written config, with the written weights."""
    encoder = MODELS.build(Config.fromfile(str(result.config_written))[field])
    encoder.init_weights()
    return encoder.eval()


def image(*size, batch=1):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(0))


# --- SegFormer ------------------------------------------------------------------------------------


@pytest.mark.parametrize('arch', ARCHITECTURES)
def test_imagenet_mit_of_every_size(tmp_path, arch):
    with torch.device('meta'):
        names = MiT(arch).state_dict()
    state = {name: torch.zeros(value.shape) for name, value in names.items()}
    state |= {'head.weight': torch.zeros(1000, 2), 'head.bias': torch.zeros(1000)}
    result = convert(state, tmp_path)
    assert result.layout == 'segformer' and result.config == dict(type='MiT', arch=arch)
    assert result.left_out == {'the ImageNet classifier': 2}
    assert torch.load(result.written)['state_dict'].keys() == names.keys()


def segformer_head(weights, features):
    """The authors' decoder, written out: levels joined coarse to fine."""
    levels = [
        F.interpolate(
            F.linear(
                features[i].movedim(1, -1),
                weights[f'linear_c{i + 1}.proj.weight'],
                weights[f'linear_c{i + 1}.proj.bias'],
            ).movedim(-1, 1),
            features[0].shape[2:],
            mode='bilinear',
            align_corners=False,
        )
        for i in (3, 2, 1, 0)
    ]
    x = F.conv2d(torch.cat(levels, 1), weights['linear_fuse.conv.weight'])
    norm = [
        weights[f'linear_fuse.bn.{k}'] for k in ('running_mean', 'running_var', 'weight', 'bias')
    ]
    x = F.relu(F.batch_norm(x, *norm))
    return F.conv2d(x, weights['linear_pred.weight'], weights['linear_pred.bias'])


def test_segformer_of_its_authors(tmp_path):
    """Encoder: mmseg's own module with these weights; decoder: written out above."""
    theirs = shuffled(
        MixVisionTransformer(embed_dims=32, num_layers=[2] * 4, num_heads=[1, 2, 5, 8])
    )
    torch.manual_seed(1)
    head = {
        **{f'linear_c{i + 1}.proj.weight': torch.randn(48, c) / c for i, c in enumerate(MIT_B0)},
        **{f'linear_c{i + 1}.proj.bias': torch.randn(48) for i in range(4)},
        'linear_fuse.conv.weight': torch.randn(48, 192, 1, 1) / 14,
        'linear_fuse.bn.weight': torch.rand(48) + 0.5,
        'linear_fuse.bn.bias': torch.randn(48),
        'linear_fuse.bn.running_mean': torch.randn(48),
        'linear_fuse.bn.running_var': torch.rand(48) + 0.5,
        'linear_fuse.bn.num_batches_tracked': torch.tensor(7),
        'linear_pred.weight': torch.randn(19, 48, 1, 1) / 7,
        'linear_pred.bias': torch.randn(19),
        'conv_seg.weight': torch.randn(19, 128, 1, 1),  # in the files, never called
        'conv_seg.bias': torch.randn(19),
    }
    state = {f'backbone.{k}': v for k, v in convert_mit(theirs.state_dict()).items()}
    state |= {f'decode_head.{k}': v for k, v in head.items()}
    result = convert(dict(state_dict=state, meta=dict(iter=160000)), tmp_path)
    assert result.layout == 'segformer'
    assert result.left_out == {'a classifier that is never used': 2}
    model = init_model(str(result.config_written), str(result.written), device='cpu')
    for module in (*model.backbone.modules(), *theirs.modules()):
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-6  # mmseg has one epsilon everywhere
    x = image(64, 96)
    with torch.no_grad():
        logits = segformer_head(head, theirs(x))
        expected = F.interpolate(logits, (64, 96), mode='bilinear', align_corners=False)
        torch.testing.assert_close(model.encode_decode(x, [{}]), expected, rtol=0, atol=2e-5)
    test_cfg = Config.fromfile(str(result.config_written)).model.test_cfg
    assert (test_cfg.crop_size, test_cfg.stride) == ((1024, 1024), (768, 768))


def mmseg_segformer(classes=19, **fields):
    return dict(
        type='EncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', mean=[1.0] * 3, std=[2.0] * 3),
        backbone=dict(
            type='MixVisionTransformer',
            embed_dims=32,
            num_layers=[2] * 4,
            num_heads=[1, 2, 5, 8],
            init_cfg=dict(type='Pretrained', checkpoint='https://nowhere/mit_b0.pth'),
        ),
        decode_head=dict(
            type='SegformerHead',
            in_channels=MIT_B0,
            in_index=[0, 1, 2, 3],
            channels=64,
            num_classes=classes,
            norm_cfg=dict(type='SyncBN', requires_grad=True),
        ),
        test_cfg=dict(mode='slide', crop_size=(48, 48), stride=(32, 32)),
        **fields,
    )


@pytest.fixture
def mmseg_network():
    config = mmseg_segformer()
    config['backbone'].pop('init_cfg')
    config['decode_head']['norm_cfg'] = dict(type='BN')
    return shuffled(MODELS.build(config))


@pytest.mark.parametrize('layout', ['auto', 'mmseg'])
@pytest.mark.parametrize('saved', [True, False], ids=['with its config', 'weights alone'])
def test_mmseg_segformer(tmp_path, mmseg_network, layout, saved):
    meta = dict(cfg=Config(dict(model=mmseg_segformer())).pretty_text) if saved else {}
    content = dict(state_dict=mmseg_network.state_dict(), meta=meta)
    result = convert(content, tmp_path, layout=layout)
    assert result.layout == 'mmseg'
    stock = saved or layout == 'mmseg'
    assert result.config['type'] == ('EncoderDecoder' if stock else 'AdaptableEncoderDecoder')
    model = init_model(str(result.config_written), str(result.written), device='cpu')
    x, metas = image(64, 96), [dict(img_shape=(64, 96))]
    with torch.no_grad():
        expected = mmseg_network.encode_decode(x, metas)
        assert torch.equal(model.encode_decode(x, metas), expected)
    assert tuple(model.test_cfg.crop_size) == ((48, 48) if saved else (1024, 1024))
    assert model.data_preprocessor.mean[0] == pytest.approx(1 if saved else 123.675)


def test_mmseg_mit(tmp_path):
    theirs = shuffled(
        MixVisionTransformer(embed_dims=32, num_layers=[2] * 4, num_heads=[1, 2, 5, 8])
    )
    result = convert(theirs.state_dict(), tmp_path)
    assert result.layout == 'mmseg'
    encoder = started(result)
    x = image(64, 96)
    with torch.no_grad():
        for ours, expected in zip(encoder(x), theirs(x), strict=True):
            assert torch.equal(ours, expected)
    ours = MiT('b0', init_cfg=dict(type='Pretrained', checkpoint=str(result.written)))
    ours.init_weights()
    assert torch.equal(ours.norm4.weight, theirs.layers[3][2].weight)


# --- convolutional encoders -----------------------------------------------------------------------


@pytest.mark.parametrize('depth', [50, 101])
def test_torchvision_resnet(tmp_path, depth):
    theirs = shuffled(getattr(torchvision.models, f'resnet{depth}')())
    state = theirs.state_dict()
    if depth == 101:  # as the file of 2017, from before torch 0.4.1
        state = {k: v for k, v in state.items() if not k.endswith('num_batches_tracked')}
    result = convert(state, tmp_path)
    assert (result.layout, result.config) == (
        'torchvision',
        dict(type='ResNetEncoder', depth=depth),
    )
    encoder = started(result)
    x = image(64, 96)
    stem = nn.Sequential(theirs.conv1, theirs.bn1, theirs.relu, theirs.maxpool)
    with torch.no_grad():
        expected = stem(x)
        for i, ours in enumerate(encoder(x)):
            expected = getattr(theirs, f'layer{i + 1}')(expected)
            torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_timm_resnet(tmp_path):
    """timm names a ResNet as torchvision does."""
    theirs = shuffled(timm.create_model('resnet50', pretrained=False))
    encoder = started(convert(theirs.state_dict(), tmp_path))
    x = image(64, 96)
    with torch.no_grad():
        expected = theirs.forward_features(x)
        torch.testing.assert_close(encoder(x)[-1], expected, rtol=1e-5, atol=1e-5)


def test_mmseg_resnet(tmp_path):
    theirs = shuffled(ResNetV1c(depth=50))
    state = {**theirs.state_dict(), 'fc.weight': torch.zeros(1000, 2048)}
    result = convert(dict(state_dict=state), tmp_path)
    assert result.layout == 'mmseg' and result.config['deep_stem']
    encoder = started(result)
    x = image(64, 96)
    with torch.no_grad():
        for ours, expected in zip(encoder(x), theirs(x), strict=True):
            assert torch.equal(ours, expected)


def test_torchvision_vgg16(tmp_path):
    theirs = torchvision.models.vgg16().eval()
    torch.manual_seed(0)
    result = convert(theirs.state_dict(), tmp_path)
    assert result.layout == 'torchvision'
    assert result.left_out == {
        'the ImageNet classifier': 6,
        'layers that this network does not run': 6,
    }
    pyramid = started(result, 'pyramid')
    x = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected, maps = pyramid.normalise(x), []
        for layer in theirs.features[:24]:
            expected = layer(expected)
            if isinstance(layer, nn.MaxPool2d):
                maps.append(expected)
        for ours, theirs_ in zip(pyramid(x), maps[1:], strict=True):
            torch.testing.assert_close(ours, theirs_, rtol=1e-5, atol=1e-5)
