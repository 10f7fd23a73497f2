"""Foundation encoders compute what timm computes, at every image size."""

import copy
from collections import Counter

import pytest
import timm
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from dsr_nss.errors import CheckpointError, ConfigError
from dsr_nss.functional.position_embedding import covering
from dsr_nss.models.backbones import TimmConvNeXt, TimmViT
from tests.reference.position_embedding import hub_positions

SMALL = (
    'vit_small_patch14_dinov2',
    'vit_small_patch14_reg4_dinov2',
    'vit_small_patch16_dinov3',
    'vit_tiny_patch16_dinov3_qkvb',  # EUPE
)


@pytest.fixture(autouse=True)
def quick_start(monkeypatch):
    """All weights are replaced; timm's random ones take a second for each network."""
    for module in (timm.models.vision_transformer, timm.models.eva):
        monkeypatch.setattr(module, 'trunc_normal_', lambda tensor, **kwargs: tensor)


def build(name, seed=0, **fields):
    """An encoder with weights that all matter; timm starts layer scales near zero."""
    encoder = MODELS.build(dict(type='TimmViT', model_name=name, **fields)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(std=0.5 if parameter.ndim == 1 else 0.05, generator=generator)
        encoder.mask_token.normal_(generator=generator)
    return encoder


def theirs(encoder, **options):
    network = timm.create_model(
        encoder.model_name, pretrained=False, num_classes=0, dynamic_img_size=True, **options
    )
    network.load_state_dict(encoder.timm_model.state_dict())
    return network.eval()


@pytest.mark.parametrize('name', SMALL)
@torch.no_grad()
def test_maps_equal_timms_after_the_norm(name):
    encoder = build(name, out_indices=(2, 5, 8, 11))
    image = torch.randn(2, 3, 4 * encoder.patch_size[0], 6 * encoder.patch_size[1])
    expected = theirs(encoder).forward_intermediates(
        image, indices=(2, 5, 8, 11), norm=True, intermediates_only=True
    )
    found = encoder(image)
    assert encoder.patch_grid(image.shape[2:]) == (4, 6)
    assert len(found) == 4 and all(map(torch.equal, found, expected))
    # the last one is what timm calls the features of the network
    tokens = theirs(encoder).forward_features(image)[:, encoder.timm_model.num_prefix_tokens :]
    assert torch.equal(found[-1].flatten(2).transpose(1, 2), tokens)


@pytest.mark.parametrize('name', SMALL[1:3])
@torch.no_grad()
def test_an_image_of_any_size_is_padded_by_hand_and_cropped_back(name):
    encoder = build(name)
    patch = encoder.patch_size[0]
    image = torch.randn(1, 3, 3 * patch + 5, 5 * patch - 1)
    padded = F.pad(image, (0, 1, 0, patch - 5))
    (expected,) = theirs(encoder).forward_intermediates(
        padded, indices=[11], norm=True, intermediates_only=True
    )
    (found,) = encoder(image)
    assert encoder.patch_grid(image.shape[2:]) == (4, 5)
    assert torch.equal(found, covering(expected, padded.shape[2:], image.shape[2:]))
    assert found.shape == expected.shape


@pytest.mark.parametrize('size, seen', [((64, 64), (70, 70)), ((64, 100), (70, 98))])
@torch.no_grad()
def test_an_image_is_resized_below_the_scale(size, seen):
    encoder = build(SMALL[0], scale=1.1)
    image = torch.randn(1, 3, *size)
    (expected,) = build(SMALL[0])(F.interpolate(image, seen, mode='bilinear'))
    assert torch.equal(encoder(image)[0], expected)
    assert encoder.patch_grid(size) == (seen[0] // 14, seen[1] // 14)
    assert build(SMALL[0], scale=1.1).patch_grid((1024, 1024)) == (80, 80)


@torch.no_grad()
def test_hub_positions_are_those_of_the_reference():
    """Their table, resampled by the reference, in timm's network on its own grid."""
    encoder = build(SMALL[0], positions='hub')
    image = torch.randn(1, 3, 4 * 14, 6 * 14)
    table = encoder.timm_model.pos_embed
    moved = torch.from_numpy(hub_positions(table[:, 1:].double().numpy(), (4, 6))).float()
    network = timm.create_model(SMALL[0], num_classes=0, img_size=(56, 84)).eval()
    network.load_state_dict(
        {**encoder.timm_model.state_dict(), 'pos_embed': torch.cat([table[:, :1], moved], dim=1)}
    )
    expected = network.forward_intermediates(
        image, indices=[11], norm=True, intermediates_only=True
    )[0]
    torch.testing.assert_close(encoder(image)[0], expected, atol=2e-4, rtol=0)
    assert (build(SMALL[0])(image)[0] - expected).abs().max() > 0.05  # timm's way is another one


@pytest.mark.parametrize('name', [SMALL[0], SMALL[2]])
@torch.no_grad()
def test_hidden_patches_are_replaced_before_the_positions(name):
    encoder = build(name)
    image = torch.randn(2, 3, *(4 * side for side in encoder.patch_size))
    nothing, everything = torch.zeros(2, 4, 4).bool(), torch.ones(2, 4, 4).bool()
    assert torch.equal(encoder(image, nothing)[0], encoder(image)[0])
    assert torch.equal(encoder(image, everything)[0], encoder(-image, everything)[0])
    some = torch.rand(2, 4, 4) < 0.5
    network = theirs(encoder)
    embed = network.patch_embed.forward
    token = encoder.mask_token[0]
    network.patch_embed.forward = lambda x: token.where(some[..., None], embed(x))
    expected = network.forward_intermediates(
        image, indices=[11], norm=True, intermediates_only=True
    )[0]
    assert torch.equal(encoder(image, some)[0], expected)
    assert torch.equal(encoder(image)[0], encoder(image, nothing)[0])  # nothing is left behind


def test_copies_hide_their_own_patches():
    encoder = build(SMALL[2])
    copied = copy.deepcopy(encoder)
    copied.mask_token += 1.0
    image, hidden = torch.randn(1, 3, 32, 32), torch.ones(1, 2, 2).bool()
    with torch.no_grad():
        assert not torch.equal(encoder(image, hidden)[0], copied(image, hidden)[0])


def forward_calls(blocks) -> Counter:
    """How often each block runs from now on; one that is recomputed runs twice."""
    calls: Counter = Counter()
    for i, block in enumerate(blocks):
        # a recomputed block may stop before its end, where other hooks would be
        block.register_forward_pre_hook(lambda *_, i=i: calls.update([i]))
    return calls


@pytest.mark.parametrize('name', [SMALL[0], SMALL[2]])
def test_recomputed_activations_change_no_gradient(name):
    plain, saving = build(name), build(name, with_cp=True)
    image = torch.randn(1, 3, *(2 * side for side in plain.patch_size))
    for encoder, times in ((plain, 1), (saving, 2)):
        calls = forward_calls(encoder.timm_model.blocks)
        encoder.train()(image)[0].square().mean().backward()
        assert calls == Counter(dict.fromkeys(range(12), times))
    for (key, a), (_, b) in zip(plain.named_parameters(), saving.named_parameters(), strict=True):
        assert a.grad is not None, key  # every parameter learns
        assert torch.equal(a.grad, b.grad), key


@pytest.mark.parametrize(
    'size, width, depth', [('small', 384, 12), ('base', 768, 12), ('large', 1024, 24)]
)
@pytest.mark.parametrize('kind', ['patch14_dinov2', 'patch14_reg4_dinov2', 'patch16_dinov3'])
def test_sizes(kind, size, width, depth):
    """The large ones without memory."""
    with torch.device('meta'):
        encoder = TimmViT(f'vit_{size}_{kind}', out_indices=(depth // 2 - 1, -1))
    side = encoder.patch_size[0]
    maps = encoder(torch.empty(2, 3, 8 * side, 12 * side, device='meta'))
    assert [tuple(x.shape) for x in maps] == [(2, width, 8, 12)] * 2
    assert encoder.out_indices == [depth // 2 - 1, depth - 1]


def test_a_pyramid_recomputes_every_block_and_changes_no_gradient():
    plain, saving = (TimmConvNeXt('test_convnext', with_cp=cp) for cp in (False, True))
    saving.load_state_dict(plain.state_dict())
    image = torch.randn(2, 3, 64, 64)
    for encoder, times in ((plain, 1), (saving, 2)):
        blocks = [block for stage in encoder.timm_model.stages for block in stage.blocks]
        calls = forward_calls(blocks)
        sum(x.square().mean() for x in encoder.train()(image)).backward()
        assert calls == Counter(dict.fromkeys(range(len(blocks)), times))
    for (key, a), (_, b) in zip(plain.named_parameters(), saving.named_parameters(), strict=True):
        assert a.grad is not None and torch.equal(a.grad, b.grad), key


@torch.no_grad()
def test_pyramid_equals_timms_features():
    name = 'convnext_tiny.dinov3_lvd1689m'
    encoder = TimmConvNeXt(name).eval()
    network = timm.create_model(name, features_only=True).eval()
    state = encoder.timm_model.state_dict()
    network.load_state_dict(
        {k.replace('stem.', 'stem_').replace('stages.', 'stages_', 1): v for k, v in state.items()}
    )
    image = torch.randn(1, 3, 64, 96)
    assert all(map(torch.equal, encoder(image), network(image)))
    assert [x.shape[1] for x in encoder(image)] == [96, 192, 384, 768]


def test_every_parameter_gets_a_gradient_where_timm_would_pool():
    encoder = TimmViT('test_vit3')
    plain = timm.create_model('test_vit3', num_classes=0)
    assert {'attn_pool'} == {name.split('.')[0] for name in plain.state_dict()} - {
        name.split('.')[0] for name in encoder.timm_model.state_dict()
    }
    encoder(torch.randn(1, 3, 32, 32))[0].sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    'fields, message',
    [
        (dict(model_name='vit_giant_patch99'), "no network 'vit_giant_patch99'"),
        (dict(model_name='hf-hub:someone/something'), "no network 'hf-hub:someone/something'"),
        (
            dict(model_name='resnet18'),
            'takes a VisionTransformer or Eva of timm; resnet18 comes from',
        ),
        (dict(model_name=SMALL[0], positions='other'), 'positions must be one of'),
        (dict(model_name=SMALL[2], positions='hub'), "positions='hub' is for DINOv2 without reg"),
        (dict(model_name=SMALL[1], positions='hub'), "positions='hub' is for DINOv2 without reg"),
        (dict(model_name='test_vit3', positions='hub'), "positions='hub' is for DINOv2"),
        (dict(model_name='test_vit2'), 'test_vit2 pools before its last norm'),
        (dict(model_name='eva02_tiny_patch14_224'), 'pools before its last norm'),
        (dict(model_name=SMALL[0], out_indices=(3, 12)), 'has 12 blocks'),
        (dict(model_name=SMALL[0], pretrained='yes'), "pretrained must be one of 'hub'"),
        (
            dict(
                model_name=SMALL[0],
                pretrained='hub',
                init_cfg=dict(type='Pretrained', checkpoint='a.pth'),
            ),
            'start either from init_cfg',
        ),
        (dict(model_name=SMALL[0], init_cfg=dict(type='Kaiming')), 'init_cfg must be None or'),
        (
            dict(model_name=SMALL[0], init_cfg=dict(type='Pretrained', checkpoint='a', map='cpu')),
            'init_cfg must be None or',
        ),
    ],
)
def test_what_cannot_be_built_is_said(fields, message):
    with pytest.raises(ConfigError, match=message), torch.device('meta'):
        TimmViT(**fields)


def test_the_hub_is_asked_only_on_request(monkeypatch):
    asked = []
    create = timm.create_model

    def counting(name, pretrained=False, **options):
        asked.append(pretrained)
        if pretrained:
            raise OSError('no route to the host')
        return create(name, pretrained=False, **options)

    monkeypatch.setattr(timm, 'create_model', counting)
    TimmViT(SMALL[0]).init_weights()
    encoder = TimmViT(SMALL[0], pretrained='hub')
    assert asked == [False, False]
    with pytest.raises(CheckpointError, match='cannot be fetched .no route to the host.. Use a lo'):
        encoder.init_weights()


def test_weights_from_the_hub_are_timms(monkeypatch):
    fetched = build(SMALL[2], seed=1).timm_model
    encoder = TimmViT(SMALL[2], pretrained='hub')
    monkeypatch.setattr(timm, 'create_model', lambda *args, **kwargs: fetched)
    encoder.init_weights()
    own = encoder.timm_model.state_dict()
    assert all(torch.equal(own[name], value) for name, value in fetched.state_dict().items())
