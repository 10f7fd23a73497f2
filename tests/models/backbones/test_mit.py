"""MiT encoders: names, shapes, details that released weights depend on."""

import copy
import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from dsr_nss.models.backbones import MiT
from dsr_nss.models.backbones.mit import ARCHITECTURES, BLOCK_EPS, EfficientAttention


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    encoder = MiT('b0')
    encoder.init_weights()
    return encoder


@pytest.mark.parametrize('arch', ['b0', 'b5'])
def test_names_and_shapes_are_the_published_ones(shared_dir, arch):
    published = json.loads(
        (shared_dir / 'reference' / 'keys' / f'hrda_mit_{arch}.keys.json').read_text()
    )
    expected = {
        name.removeprefix('backbone.'): shape
        for name, (shape, _) in published.items()
        if name.startswith('backbone.')
    }
    with torch.device('meta'):
        own = {name: list(value.shape) for name, value in MiT(arch).state_dict().items()}
    assert own == expected


#: Parameters in millions, of the encoders without classifier.
SIZES = dict(b0=3.3, b1=13.2, b2=24.2, b3=44.1, b4=60.8, b5=81.4)


@pytest.mark.parametrize('arch, millions', SIZES.items())
def test_sizes(arch, millions):
    with torch.device('meta'):
        count = sum(p.numel() for p in MiT(arch).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.15)


@pytest.mark.parametrize('size', [(64, 96), (65, 97), (29, 61)])
def test_strides(encoder, size):
    maps = encoder.eval()(torch.randn(2, 3, *size))
    for features, stride, channels in zip(
        maps, (4, 8, 16, 32), ARCHITECTURES['b0'].channels, strict=True
    ):
        assert features.shape == (2, channels, -(-size[0] // stride), -(-size[1] // stride))


def test_epsilons(encoder):
    for name, module in encoder.named_modules():
        if isinstance(module, nn.LayerNorm):
            plain = name.startswith('patch_embed') or name.endswith('attn.norm')
            assert module.eps == (1e-5 if plain else BLOCK_EPS), name


def test_stochastic_depth_rises_linearly():
    """Of branches of many images, the share that is dropped, and the factor of the others."""
    torch.manual_seed(0)
    encoder = MiT('b0', drop_path_rate=0.5).train()
    image = torch.zeros(20_000, 3, 1, 1)
    paths = torch.stack(encoder.draw_paths(image))
    assert paths.shape == (8, 2, 20_000, 1, 1) and paths.dtype == torch.float32
    rates = torch.arange(8) * 0.5 / 7
    dropped = (paths == 0).float().mean(dim=2).squeeze()
    torch.testing.assert_close(dropped, rates[:, None].expand(8, 2), rtol=0, atol=0.015)
    kept = 1 / (1 - rates)
    for block, factor in zip(paths, kept, strict=True):
        torch.testing.assert_close(block[block != 0].unique(), factor[None])
    # the two branches of a block are drawn for themselves
    assert not torch.equal(paths[7, 0], paths[7, 1])
    with torch.autocast('cpu', torch.bfloat16):
        half = torch.stack(encoder.draw_paths(image))
    assert half.dtype == torch.bfloat16
    means = half.float().mean(dim=2).squeeze()
    torch.testing.assert_close(means, torch.ones(8, 2), rtol=0, atol=0.025)
    assert encoder.eval().draw_paths(image) == [None] * 8
    assert MiT('b0', drop_path_rate=0.0).train().draw_paths(image) == [None] * 8


def test_a_dropped_branch_leaves_the_tokens_alone(encoder):
    """And one that is kept counts by the inverse of its rate, in half precision as in full."""
    block, tokens = encoder.block1[1].double(), torch.randn(3, 64, 32, dtype=torch.float64)
    paths = torch.tensor([[0.0, 0.0, 1.25], [0.0, 1.25, 0.0]]).view(2, 3, 1, 1)
    result = block(tokens, (8, 8), paths)
    assert torch.equal(result[0], tokens[0])
    mlp = block.mlp(block.norm2(tokens), (8, 8))
    torch.testing.assert_close(result[1], tokens[1] + 1.25 * mlp[1])
    attention = block.attn(block.norm1(tokens), (8, 8))
    torch.testing.assert_close(result[2], tokens[2] + 1.25 * attention[2])
    block.float()
    with torch.autocast('cpu', torch.bfloat16):
        half = block(tokens.bfloat16(), (8, 8), paths.bfloat16())
    assert half.dtype == torch.bfloat16  # no operation on tokens in full precision
    torch.testing.assert_close(half, result.bfloat16(), rtol=0.02, atol=0.05)


def test_stochastic_depth_acts_in_training_alone(encoder):
    x = torch.randn(8, 3, 32, 32)
    assert not torch.equal(encoder.train()(x)[3], encoder(x)[3])
    assert torch.equal(encoder.eval()(x)[3], encoder(x)[3])


def test_attention_is_softmax_attention():
    """Against the formula, in float64, with keys and values from the reduced map."""
    torch.manual_seed(0)
    attention = EfficientAttention(8, heads=2, reduction=2).double()
    tokens = torch.randn(3, 24, 8, dtype=torch.float64)
    grid = tokens.transpose(1, 2).reshape(3, 8, 4, 6)
    reduced = attention.norm(attention.sr(grid).flatten(2).transpose(1, 2))
    query, pair = attention.q(tokens), attention.kv(reduced)
    heads = []
    for h in (slice(0, 4), slice(4, 8)):
        key, value = pair[..., :8][..., h], pair[..., 8:][..., h]
        weights = (query[..., h] @ key.transpose(1, 2) / 2).softmax(-1)
        heads.append(weights @ value)
    expected = attention.proj(torch.cat(heads, -1))
    torch.testing.assert_close(attention(tokens, (4, 6)), expected)


def test_kernels_agree(encoder):
    x = torch.randn(1, 3, 64, 96)
    results = []
    for kernel in (SDPBackend.MATH, SDPBackend.FLASH_ATTENTION):
        with sdpa_kernel(kernel), torch.no_grad():
            results.append(encoder.eval()(x))
    for plain, fused in zip(*results, strict=True):
        torch.testing.assert_close(plain, fused, rtol=0, atol=2e-5)


def test_no_attention_matrix_is_kept():
    """The point of the fused kernel: no tensor of queries x keys is saved for the backward pass."""
    attention, shapes = EfficientAttention(8, heads=2, reduction=1), []

    def pack(tensor):
        shapes.append(tuple(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        attention(torch.randn(1, 256, 8, requires_grad=True), (16, 16))
    assert shapes
    assert not [shape for shape in shapes if shape[-2:] == (256, 256)]


def test_gradient_reaches_every_parameter(encoder):
    sum(x.square().mean() for x in encoder.eval()(torch.randn(1, 3, 64, 64))).backward()
    # A key's bias shifts all scores of a query alike, so soft-max is blind to it: half of kv's.
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_autocast(encoder):
    x = torch.randn(1, 3, 64, 64)
    exact = encoder.eval()(x)
    with torch.autocast('cpu', torch.bfloat16):
        rounded = encoder(x)
    for a, b in zip(exact, rounded, strict=True):
        assert F.cosine_similarity(a.flatten(), b.float().flatten(), 0) > 0.999


def test_random_weights(encoder):
    assert encoder.block1[0].attn.q.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert encoder.block1[0].attn.q.bias.abs().max() == 0
    # 3x3 depth-wise: fan-out 9
    dwconv = encoder.block4[0].mlp.dwconv.dwconv.weight
    assert dwconv.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.05)
    proj = encoder.patch_embed2.proj.weight
    assert proj.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)


def test_copy_and_round_trip(encoder):
    x = torch.randn(1, 3, 32, 32)
    other = MiT('b0').eval()
    other.load_state_dict(encoder.eval().state_dict())
    assert torch.equal(encoder(x)[3], other(x)[3])
    assert torch.equal(encoder(x)[3], copy.deepcopy(encoder)(x)[3])


def test_bad_input(encoder):
    with pytest.raises(ValueError, match="MiT.arch must be one of 'b0', 'b1', .*got 'b6'"):
        MiT('b6')
    with pytest.raises(ValueError, match='28x64 pixels is too small'):
        encoder(torch.zeros(1, 3, 28, 64))
    with pytest.raises(ValueError, match='init_cfg must be None'):
        MiT('b0', init_cfg=dict(type='Normal'))
