"""Files of foundation encoders and of VFM-UDA, made by their lists of names."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.registry import MODELS

from dsr_nss.checkpoints import CheckpointError
from dsr_nss.conversion.convert import convert_checkpoint
from dsr_nss.conversion.foundation import convert_encoder, describe_timm
from dsr_nss.inference.load import load_model
from dsr_nss.models.backbones import TimmConvNeXt
from dsr_nss.models.decode_heads import DAFormerHead
from tests.models.decode_heads.test_light_head import published
from tests.reference.vision_transformer import last_map
from tests.reference.vit_layouts import as_transformers, hub_file

pytestmark = pytest.mark.usefixtures('timm_without_random_weights')


def convert(state, tmp_path, **options):
    torch.save(state, tmp_path / 'source.pth')
    return convert_checkpoint(
        tmp_path / 'source.pth', tmp_path / 'a.pth', config_out=tmp_path / 'a.py', **options
    )


@pytest.mark.parametrize(
    'kind, layout',
    [('dinov2', 'hub'), ('dinov3', 'hub'), ('dinov3', 'transformers'), ('dinov2', 'timm')],
)
def test_an_encoder_of_every_layout(tmp_path, kind, layout):
    content = hub = hub_file(kind)
    if layout == 'transformers':
        content = as_transformers(hub, kind)
    elif layout == 'timm':
        content = {name: value for name, value in hub.items() if name != 'mask_token'}
    result = convert(content, tmp_path, layout=kind if layout == 'hub' else layout)
    assert result.comparison.complete and result.kind == 'encoder' and not result.notes
    suffix = '_qkvb' if kind == 'dinov3' else ''  # the random biases are not zero
    assert result.config['model_name'].endswith(kind + suffix)
    positions = 'hub' if (kind, layout) == ('dinov2', 'hub') else None
    assert result.config.get('positions') == positions
    assert not any('does not run' in part for part in result.left_out)
    encoder = MODELS.build(Config.fromfile(str(result.config_written)).backbone)
    encoder.init_weights()
    token = hub['mask_token'] if layout != 'timm' else torch.zeros_like(hub['mask_token'])
    assert torch.equal(encoder.mask_token, token)
    for i in (0, 11):
        weight = encoder.timm_model.blocks[i].attn.qkv.weight
        assert torch.equal(weight, hub[f'blocks.{i}.attn.qkv.weight'])
    if layout == 'timm':
        return  # whose positions the published forward pass does not have
    image = torch.randn(1, 3, *(3 * side for side in encoder.patch_size))
    with torch.no_grad():
        expected = last_map(hub, image, heads=6)
        torch.testing.assert_close(encoder.eval()(image)[0].double(), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize('kind, width', [('dinov3', 384), ('plain', 384), ('dinov2', 96)])
def test_names_tell_the_network_or_ask_for_a_config(kind, width):
    """A gated DINOv3 is another network; a plain ViT, or an odd width, is none of these."""
    state = {f'timm_model.{k}': v for k, v in hub_file('dinov2', width=width, depth=1).items()}
    if kind == 'dinov3':
        del state['timm_model.pos_embed']
        state |= {'timm_model.blocks.0.mlp.fc1_g.weight': torch.zeros(1)}
        state['timm_model.patch_embed.proj.weight'] = torch.zeros(width, 3, 16, 16)
        assert describe_timm(state)['model_name'] == 'vit_small_plus_patch16_dinov3'
        return
    if kind == 'plain':
        state = {k: v for k, v in state.items() if '.ls' not in k}
    with pytest.raises(CheckpointError, match='name the config of the network with --config'):
        describe_timm(state)


def test_what_a_student_leaves_no_trace_of_is_told(tmp_path):
    """Scale and positions of a network alone; VFM-UDA's own layout says them."""
    result = convert(vfm_uda_file(), tmp_path)
    assert not result.notes and result.config['backbone']['scale'] == 1.1
    state = torch.load(result.written)['state_dict']
    alone = tmp_path / 'alone'
    alone.mkdir()
    result = convert(state, alone)
    assert result.comparison.complete and 'scale' not in result.config['backbone']
    assert any('leave no trace in a file' in note for note in result.notes)


def test_heads_on_several_maps(tmp_path):
    """Of a pyramid their widths are told; of a vision transformer the blocks are not."""
    widths = (96, 192, 384, 768)
    fields = dict(channels=8, embed_channels=8, num_classes=5)
    pyramid = TimmConvNeXt('convnext_tiny').state_dict()
    for encoder, state, channels in (
        ('TimmConvNeXt', pyramid, widths),
        ('TimmViT', convert_encoder(hub_file('dinov2')), (384,) * 4),
    ):
        head = DAFormerHead(in_channels=channels, **fields).state_dict()
        network = {f'backbone.{k}': v for k, v in state.items()}
        network |= {f'decode_head.{k}': v for k, v in head.items()}
        if encoder == 'TimmConvNeXt':
            result = convert(network, tmp_path)
            assert result.comparison.complete and not result.notes
            assert result.config['decode_head']['in_channels'] == list(widths)
        else:
            with pytest.raises(CheckpointError, match='of which blocks; name the config'):
                convert(network, tmp_path)


def vfm_uda_file():
    """`network.*` and its averaged twin, as Lightning saves them."""
    content = {}
    for seed, prefix in enumerate(('network.', 'network_ema.')):
        encoder = hub_file('dinov2', seed=seed)
        generator = torch.Generator().manual_seed(seed)
        head = {
            'upscale.0.weight': torch.empty(384, 192, 2, 2),
            'upscale.3.weight': torch.empty(192, 96, 2, 2),
            'upscale.5.weight': torch.empty(96, 96, 3, 3),
            'out.weight': torch.empty(19, 96, 1, 1),
        }
        for i, width in ((1, 192), (4, 96), (6, 96)):
            head |= {
                f'upscale.{i}.weight': torch.empty(width),
                f'upscale.{i}.bias': torch.empty(width),
            }
        for value in head.values():
            value.normal_(std=0.2, generator=generator)
        head['token_masking.mask_token'] = torch.full((1, 384), 0.25 + seed)
        content |= {f'{prefix}encoder.{name}': value for name, value in encoder.items()}
        content |= {f'{prefix}{name}': value for name, value in head.items()}
    return {'state_dict': content, 'pytorch-lightning_version': '2.0.0', 'epoch': 3}


@pytest.mark.parametrize('network, prefix', [('student', 'network.'), ('teacher', 'network_ema.')])
def test_vfm_uda_computes_the_same_logits(tmp_path, network, prefix):
    content = vfm_uda_file()
    result = convert(content, tmp_path, network=network)
    assert result.layout == 'vfm-uda' and result.comparison.complete
    model = load_model(result.config_written, result.written, device='cpu')
    image = torch.randn(1, 3, 64, 100)
    state = {
        name.removeprefix(prefix): value
        for name, value in content['state_dict'].items()
        if name.startswith(prefix)
    }
    encoder = {k.removeprefix('encoder.'): v for k, v in state.items() if k.startswith('encoder.')}
    head = {k.replace('out.', 'conv_seg.'): v.double() for k, v in state.items()}
    with torch.no_grad():
        seen = F.interpolate(image, (70, 98), mode='bilinear')
        expected = published(head, last_map(encoder, seen, heads=6))
        found = model._forward(image)
    torch.testing.assert_close(found.double(), expected, atol=2e-4, rtol=0)
    assert torch.equal(model.backbone.mask_token, state['token_masking.mask_token'])


@pytest.mark.parametrize('layout', ['auto', 'vfm-uda', 'vfm-uda-plusplus'])
def test_vfm_uda_plusplus_is_refused_with_the_reason(tmp_path, layout):
    content = {'network.encoder.spm.stem.0.weight': torch.zeros(1), **vfm_uda_file()['state_dict']}
    with pytest.raises(CheckpointError, match='VFM-UDA.+: DINOv2 inside a ViT-Adapter'):
        convert(content, tmp_path, layout=layout)


def test_an_unknown_width_asks_for_a_config(tmp_path):
    with pytest.raises(CheckpointError, match='known has a width of 96 and .* name the config'):
        convert(hub_file('dinov2', width=96, depth=1), tmp_path)
