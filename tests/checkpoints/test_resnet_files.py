"""Published ResNet weight files: layouts, and what is wrong with a bad one."""

import pytest
import torch
import torchvision

from dsr_nss.checkpoints import CheckpointError, convert_resnet
from dsr_nss.checkpoints.resnet import load_resnet
from dsr_nss.models.backbones import ResNetEncoder


@pytest.fixture
def published():
    return dict(torchvision.models.resnet18().state_dict())


@pytest.mark.parametrize('prefix', ['', 'module.', 'backbone.', 'student.backbone.'])
def test_encoder_alone_without_its_classifier(published, prefix):
    state = {prefix + name: value for name, value in published.items()}
    state['decode_head.conv_seg.weight'] = torch.zeros(19, 4, 1, 1)
    if not prefix:
        del state['decode_head.conv_seg.weight']
    converted = convert_resnet(state)
    assert converted.keys() == ResNetEncoder(18).state_dict().keys()
    assert converted['conv1.weight'] is published['conv1.weight']


def test_old_files_have_no_batch_counters(published):
    old = {name: value for name, value in published.items() if 'num_batches' not in name}
    converted = convert_resnet(old)
    assert converted.keys() == convert_resnet(published).keys()
    counter = converted['layer2.0.downsample.1.num_batches_tracked']
    assert counter.dtype == torch.int64 and counter == 0


def test_no_resnet(tmp_path):
    torch.save({'patch_embed1.proj.weight': torch.zeros(1)}, tmp_path / 'mit.pth')
    with pytest.raises(CheckpointError, match='mit.pth: expected one ResNet'):
        load_resnet(ResNetEncoder(18), tmp_path / 'mit.pth')


def test_two_encoders_in_one_file(published):
    both = {f'{prefix}.{name}': v for name, v in published.items() for prefix in ('model', 'ema')}
    with pytest.raises(CheckpointError, match="'model.', 'ema.'"):
        convert_resnet(both)


def test_a_failed_load_changes_nothing(tmp_path, published):
    encoder = ResNetEncoder(18)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    del published['layer4.1.bn2.bias']
    torch.save(published, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='1 missing: layer4.1.bn2.bias'):
        load_resnet(encoder, tmp_path / 'a.pth')
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
