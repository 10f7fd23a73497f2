"""Published MiT weight files: layouts, and what is wrong with a bad one."""

import pytest
import torch
from mmseg.models.backbones import MixVisionTransformer
from torch import nn

from dsr_nss.checkpoints import CheckpointError, convert_mit, load_mit, load_strictly
from dsr_nss.models.backbones import MiT


@pytest.fixture
def published():
    torch.manual_seed(0)
    encoder = MiT('b0')
    encoder.init_weights()
    return {name: torch.randn_like(value) for name, value in encoder.state_dict().items()}


def load(path, arch='b0'):
    encoder = MiT(arch, init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    encoder.init_weights()
    return encoder


def assert_loaded(encoder, published):
    assert all(torch.equal(value, published[name]) for name, value in encoder.state_dict().items())


def test_imagenet_file(tmp_path, published):
    content = {**published, 'head.weight': torch.zeros(1000, 256), 'head.bias': torch.zeros(1000)}
    torch.save(content, tmp_path / 'mit_b0.pth')
    assert_loaded(load(tmp_path / 'mit_b0.pth'), published)


@pytest.mark.parametrize('prefix', ['backbone.', 'student.backbone.', 'module.'])
def test_segmentation_file(tmp_path, published, prefix):
    state_dict = {prefix + name: value for name, value in published.items()}
    state_dict['decode_head.linear_pred.weight'] = torch.zeros(19, 256, 1, 1)
    meta = dict(iter=160000, CLASSES=('road', 'sidewalk'), env='text')
    torch.save(dict(meta=meta, state_dict=state_dict), tmp_path / 'segformer.pth')
    assert_loaded(load(tmp_path / 'segformer.pth'), published)


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_mmseg_file(tmp_path, prefix):
    """The same network in mmseg's names gives the same features."""
    torch.manual_seed(0)
    theirs = MixVisionTransformer(embed_dims=32, num_heads=[1, 2, 5, 8], num_layers=[2, 2, 2, 2])
    theirs.init_weights()
    for parameter in theirs.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    state_dict = {prefix + name: value for name, value in theirs.state_dict().items()}
    torch.save(dict(state_dict=state_dict), tmp_path / 'mit_b0_mmseg.pth')
    ours = load(tmp_path / 'mit_b0_mmseg.pth')
    for module in (*ours.modules(), *theirs.modules()):
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-6  # mmseg has one epsilon everywhere
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        for a, b in zip(ours.eval()(image), theirs.eval()(image), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=2e-5)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        load(tmp_path / 'data' / 'mit_b5.pth')
    message = str(error.value)
    assert str(tmp_path / 'data' / 'mit_b5.pth') in message
    assert 'SegFormer authors' in message
    assert '--cfg-options model.student.backbone.init_cfg=None' in message


def test_another_arch(tmp_path, published):
    torch.save(published, tmp_path / 'mit_b0.pth')
    with pytest.raises(CheckpointError, match='mit_b0.pth does not fit MiT') as error:
        load(tmp_path / 'mit_b0.pth', 'b1')
    assert 'patch_embed1.proj.weight (32, 3, 7, 7) for (64, 3, 7, 7)' in str(error.value)


def test_missing_and_unknown_entries(tmp_path, published):
    published['block9.extra'] = torch.zeros(1)
    del published['block2.1.attn.kv.weight']
    torch.save(published, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError) as error:
        load(tmp_path / 'a.pth')
    assert '1 missing: block2.1.attn.kv.weight' in str(error.value)
    assert '1 unknown: block9.extra' in str(error.value)


def test_a_failed_load_changes_nothing(published):
    encoder = MiT('b0')
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    del published['norm4.bias']
    with pytest.raises(CheckpointError):
        load_strictly(encoder, published, 'file')
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_no_mit_file(tmp_path):
    torch.save({'conv1.weight': torch.zeros(64, 3, 7, 7)}, tmp_path / 'resnet.pth')
    with pytest.raises(CheckpointError, match='resnet.pth: expected one MiT encoder'):
        load_mit(MiT('b0'), tmp_path / 'resnet.pth')


def test_two_encoders_in_one_file(published):
    both = {f'{prefix}.{name}': v for name, v in published.items() for prefix in ('model', 'ema')}
    with pytest.raises(CheckpointError, match="'model.', 'ema.'"):
        convert_mit(both)


def test_unknown_mmseg_names_are_left_for_the_report():
    names = ['layers.0.0.projection.weight', 'layers.0.3.weight', 'layers.0.1.0.ffn.gate.weight']
    converted = convert_mit({name: torch.zeros(1) for name in names})
    assert list(converted) == [
        'patch_embed1.proj.weight', 'layers.0.3.weight', 'block1.0.ffn.gate.weight'
    ]  # fmt: skip


def test_files_without_weights(tmp_path):
    torch.save({'epoch': 3}, tmp_path / 'log.pth')
    with pytest.raises(CheckpointError, match='log.pth holds no tensors'):
        load(tmp_path / 'log.pth')
    (tmp_path / 'page.pth').write_text('<html>404</html>')
    with pytest.raises(CheckpointError, match='page.pth'):
        load(tmp_path / 'page.pth')
