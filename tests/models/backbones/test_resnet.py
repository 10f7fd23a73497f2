"""ResNetEncoder: shapes, random weights, and what it does with a weight file."""

import pytest
import torch
import torchvision
from mmseg.models.backbones import ResNetV1c
from mmseg.registry import MODELS
from torch import nn

from dsr_nss.checkpoints import CheckpointError
from dsr_nss.models.backbones import ResNetEncoder

DILATED = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))


def from_file(path, depth=18, **fields):
    encoder = ResNetEncoder(depth, init_cfg=dict(type='Pretrained', checkpoint=str(path)), **fields)
    encoder.init_weights()
    return encoder.eval()


def shake(network: nn.Module, seed: int = 0) -> None:
    """Statistics and weights that a mistake cannot pass for."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator))
            for tensor in (module.running_var, module.weight.data):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))


def torchvision_features(network: nn.Module, image: torch.Tensor) -> list[torch.Tensor]:
    x = network.maxpool(network.relu(network.bn1(network.conv1(image))))
    maps = []
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        x = stage(x)
        maps.append(x)
    return maps


@pytest.mark.parametrize('size', [(64, 96), (61, 90)])
@pytest.mark.parametrize('deep_stem', [False, True])
def test_strides(size, deep_stem):
    maps = ResNetEncoder(18, deep_stem=deep_stem)(torch.randn(2, 3, *size))
    for x, stride, channels in zip(maps, (4, 8, 16, 32), (64, 128, 256, 512), strict=True):
        assert x.shape == (2, channels, -(-size[0] // stride), -(-size[1] // stride))


def test_output_stride_8():
    maps = ResNetEncoder(50, deep_stem=True, **DILATED).eval()(torch.randn(1, 3, 64, 96))
    assert [tuple(x.shape[1:]) for x in maps] == [
        (256, 16, 24), (512, 8, 12), (1024, 8, 12), (2048, 8, 12),
    ]  # fmt: skip


@pytest.mark.parametrize('depth', [18, 50])
def test_torchvision_file_gives_torchvisions_features(tmp_path, depth):
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, f'resnet{depth}')().eval()
    shake(theirs)
    torch.save(theirs.state_dict(), tmp_path / 'resnet.pth')
    ours, image = from_file(tmp_path / 'resnet.pth', depth), torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for a, b in zip(ours(image), torchvision_features(theirs, image), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_mmseg_file_gives_mmsegs_features(tmp_path, prefix):
    torch.manual_seed(0)
    theirs = ResNetV1c(depth=50, **DILATED)
    theirs.init_weights()
    shake(theirs)
    theirs.eval()
    state = {prefix + name: value for name, value in theirs.state_dict().items()}
    other = {'fc.weight': torch.zeros(9, 2048), 'decode_head.conv_seg.bias': torch.zeros(19)}
    state |= {k: v for k, v in other.items() if k.startswith('fc.') != bool(prefix)}
    torch.save(dict(state_dict=state, meta=dict(epoch=1)), tmp_path / 'resnet50_v1c.pth')
    ours = from_file(tmp_path / 'resnet50_v1c.pth', 50, deep_stem=True, **DILATED)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for a, b in zip(ours(image), theirs(image), strict=True):
            assert torch.equal(a, b)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        from_file(tmp_path / 'data' / 'resnet18.pth')
    message = str(error.value)
    assert str(tmp_path / 'data' / 'resnet18.pth') in message
    assert 'torchvision' in message and 'mmseg' in message
    assert '--cfg-options model.student.backbone.init_cfg=None' in message


def test_another_depth(tmp_path):
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / 'resnet18.pth')
    with pytest.raises(CheckpointError, match='resnet18.pth does not fit ResNetEncoder') as error:
        from_file(tmp_path / 'resnet18.pth', 34)
    assert 'missing: layer1.2.conv1.weight' in str(error.value)


@pytest.mark.parametrize('ours, theirs', [(False, 'v1c'), (True, 'v1,')])
def test_another_stem(tmp_path, ours, theirs):
    state = ResNetEncoder(18, deep_stem=not ours).state_dict()
    torch.save(state, tmp_path / 'resnet.pth')
    with pytest.raises(CheckpointError, match=rf'resnet.pth: its stem is [^(]*\({theirs}') as error:
        from_file(tmp_path / 'resnet.pth', deep_stem=ours)
    assert f'`deep_stem={ours}`' in str(error.value).split('wants')[1]


def test_random_start_is_mmsegs():
    """Residual branches begin at zero, so that each block starts as its shortcut."""
    encoder = ResNetEncoder(50)
    encoder.init_weights()
    for stage in (encoder.layer1, encoder.layer4):
        assert all(block.bn3.weight.abs().max() == 0 for block in stage)
    assert encoder.conv1.weight.std() > 0.01


def test_a_segmentor_initialises_it(tmp_path):
    theirs = torchvision.models.resnet18()
    torch.save(theirs.state_dict(), tmp_path / 'resnet18.pth')
    model = MODELS.build(
        dict(
            type='AdaptableEncoderDecoder',
            backbone=dict(
                type='ResNetEncoder',
                depth=18,
                init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'resnet18.pth')),
            ),
            decode_head=dict(type='DeepLabV2Head', in_channels=512, num_classes=19),
        )
    )
    model.init_weights()
    assert torch.equal(model.backbone.layer3[1].conv2.weight, theirs.layer3[1].conv2.weight)


def test_eval_and_train_return_the_network():
    encoder = ResNetEncoder(18)
    assert encoder.eval() is encoder and not encoder.bn1.training
    assert encoder.train() is encoder and encoder.bn1.training


def test_bad_fields():
    with pytest.raises(ValueError, match='unknown depth 20; available: 18, 34, 50, 101, 152'):
        ResNetEncoder(20)
    with pytest.raises(ValueError, match='init_cfg must be None'):
        ResNetEncoder(18, init_cfg=dict(type='Normal'))


def test_recomputed_passes_need_frozen_norms():
    """With them the running statistics do not move; without, no method trains such an encoder."""
    encoder = ResNetEncoder(18, with_cp=True, norm_eval=True, base_channels=8, stem_channels=8)
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    maps = encoder.train()(torch.randn(2, 3, 64, 64, requires_grad=True))
    sum(each.square().mean() for each in maps).backward()
    for name, buffer in encoder.named_buffers():
        assert torch.equal(buffer, before[name]), name
