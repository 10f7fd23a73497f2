"""Published files of foundation encoders, by the names of their layouts."""

import pytest
import torch
from safetensors.torch import save_file

from dsr_nss.checkpoints import CheckpointError
from dsr_nss.checkpoints.timm_files import convert_timm, load_timm
from dsr_nss.models.backbones import TimmConvNeXt, TimmViT
from tests.reference.vision_transformer import last_map
from tests.reference.vit_layouts import as_transformers, hub_file

NAMES = {
    'dinov2': 'vit_small_patch14_dinov2',
    'dinov2_reg': 'vit_small_patch14_reg4_dinov2',
    'dinov3': 'vit_small_patch16_dinov3_qkvb',
}


pytestmark = pytest.mark.usefixtures('timm_without_random_weights')


def encoder_of(kind, path=None):
    fields = dict(positions='hub') if kind == 'dinov2' else {}
    start = path and dict(type='Pretrained', checkpoint=str(path))
    encoder = TimmViT(NAMES[kind], init_cfg=start, **fields).eval()
    encoder.init_weights()
    return encoder


@pytest.mark.parametrize('kind', NAMES)
@pytest.mark.parametrize('layout, suffix', [('hub', '.pth'), ('transformers', '.safetensors')])
def test_a_published_file_computes_what_its_authors_compute(tmp_path, kind, layout, suffix):
    """Against a second forward pass from the names of the hub file."""
    published = hub_file(kind)
    content = published if layout == 'hub' else as_transformers(published, kind)
    path = tmp_path / f'file{suffix}'
    if suffix == '.pth':
        torch.save(content, path)
    else:
        save_file({name: value.contiguous() for name, value in content.items()}, path)
    encoder = encoder_of(kind, path)
    assert torch.equal(encoder.mask_token, published['mask_token'])
    side = encoder.patch_size[0]
    image = torch.randn(1, 3, 3 * side, 5 * side)
    with torch.no_grad():
        expected = last_map(published, image, heads=6)
        torch.testing.assert_close(encoder(image)[0].double(), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize('which', ['student.backbone', 'teacher.model.backbone.'])
def test_a_run_of_this_package_starts_an_encoder_by_prefix(tmp_path, which):
    state = {}
    for prefix in ('student.backbone.', 'teacher.model.backbone.'):
        for name, value in encoder_of('dinov3').state_dict().items():
            state[prefix + name] = torch.randn_like(value)
    torch.save(dict(state_dict=state), tmp_path / 'iter_9.pth')
    start = dict(type='Pretrained', checkpoint=str(tmp_path / 'iter_9.pth'))
    encoder = TimmViT(NAMES['dinov3'], init_cfg=start | dict(prefix=which))
    encoder.init_weights()
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, state[f'{which.rstrip(".")}.{name}']), name
    both = TimmViT(NAMES['dinov3'], init_cfg=start)
    with pytest.raises(CheckpointError, match='under the prefixes'):
        both.init_weights()


@pytest.mark.parametrize('prefix', ['', 'network.encoder.', 'module.'])
def test_timms_own_file_has_no_mask_token(tmp_path, prefix):
    network = encoder_of('dinov3')
    state = {
        name: torch.randn_like(value) for name, value in network.timm_model.state_dict().items()
    }
    content = {prefix + name: value for name, value in state.items()}
    content[prefix + 'head.weight'] = torch.zeros(1000, 384)
    torch.save(content, tmp_path / 'file.pth')
    network.mask_token.fill_(1.0)
    load_timm(network, tmp_path / 'file.pth')
    assert all(torch.equal(network.timm_model.state_dict()[k], v) for k, v in state.items())
    assert not network.mask_token.any()


def test_an_encoder_of_this_package_keeps_its_mask_token(tmp_path):
    network = encoder_of('dinov2')
    state = {f'backbone.{k}': torch.randn_like(v) for k, v in network.state_dict().items()}
    torch.save({**state, 'decode_head.conv_seg.weight': torch.zeros(19, 8)}, tmp_path / 'file.pth')
    load_timm(network, tmp_path / 'file.pth')
    assert all(torch.equal(state[f'backbone.{k}'], v) for k, v in network.state_dict().items())


def test_biases_are_left_out_only_if_they_are_zero(tmp_path):
    published = hub_file('dinov3')
    torch.save(published, tmp_path / 'file.pth')
    network = TimmViT('vit_small_patch16_dinov3')
    with pytest.raises(CheckpointError, match="file.pth: its queries and values have .*'_qkvb'"):
        load_timm(network, tmp_path / 'file.pth')
    for name, value in published.items():
        if name.endswith('qkv.bias'):
            value.zero_()
    torch.save(published, tmp_path / 'file.pth')
    load_timm(network, tmp_path / 'file.pth')
    weight = network.timm_model.blocks[3].attn.qkv.weight
    assert torch.equal(weight, published['blocks.3.attn.qkv.weight'])


@pytest.mark.parametrize(
    'name', ['vit_small_patch16_rope_224', 'vit_small_patch16_rope_mixed_ape_224']
)
def test_other_rotary_networks_of_timm_keep_all_of_their_weights(tmp_path, name):
    """Biases of their keys, and frequencies that are learnt: DINOv3 has neither."""
    encoder = TimmViT(name)
    state = {k: torch.randn_like(v) for k, v in encoder.timm_model.state_dict().items()}
    torch.save(state, tmp_path / 'file.pth')
    load_timm(encoder, tmp_path / 'file.pth')
    assert all(torch.equal(encoder.timm_model.state_dict()[k], v) for k, v in state.items())


def test_hub_file_of_a_pyramid(tmp_path):
    encoder = TimmConvNeXt('convnext_tiny.dinov3_lvd1689m')
    state = {k: torch.randn_like(v) for k, v in encoder.timm_model.state_dict().items()}
    hub = {'norm.weight': torch.ones(768), 'norms.3.weight': torch.ones(768)}
    for name, value in state.items():
        for ours, theirs in (
            ('stem.', 'downsample_layers.0.'),
            ('.blocks', ''),
            ('conv_dw', 'dwconv'),
            ('mlp.fc', 'pwconv'),
        ):
            name = name.replace(ours, theirs)
        if '.downsample.' in name:
            _, stage, _, rest = name.split('.', 3)
            name = f'downsample_layers.{stage}.{rest}'
        hub[name] = value
    torch.save(hub, tmp_path / 'file.pth')
    load_timm(encoder, tmp_path / 'file.pth')
    assert all(torch.equal(encoder.timm_model.state_dict()[k], v) for k, v in state.items())


@pytest.mark.parametrize(
    'name, parts',
    [
        ('vit_small_patch14_dinov2', ['dinov2_vits14_pretrain.pth', 'licence: apache-2.0']),
        ('vit_large_patch16_dinov3', ['hf/vit_large', 'licence: dinov3-license, w']),
        ('convnext_tiny.dinov3_lvd1689m', ['hf/convnext_tiny', 'dinov3-license']),
    ],
)
def test_a_missing_file_is_named_with_address_licence_and_the_way_without(tmp_path, name, parts):
    with torch.device('meta'):
        kind = TimmConvNeXt if 'convnext' in name else TimmViT
        encoder = kind(name)
    with pytest.raises(FileNotFoundError) as caught:
        load_timm(encoder, tmp_path / 'absent.pth')
    for part in ['absent.pth', *parts, 'pretrained=hub', 'init_cfg=None']:
        assert part.replace('hf/', 'https://huggingface.co/timm/') in str(caught.value)


def test_foreign_and_doubtful_files_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match='expected one encoder.*prefixes: none'):
        convert_timm({'conv1.weight': torch.zeros(1)})
    twins = {f'{p}.patch_embed.proj.weight': torch.zeros(1) for p in ('student', 'teacher')}
    with pytest.raises(CheckpointError, match="prefixes: 'student.', 'teacher.'"):
        convert_timm(twins)
    torch.save(hub_file('dinov2', depth=11), tmp_path / 'file.pth')
    with pytest.raises(CheckpointError, match='file.pth does not fit TimmViT.*blocks.11'):
        encoder_of('dinov2', tmp_path / 'file.pth')
