"""Mix Transformer encoders B0 to B5 (SegFormer).

mmseg's `MixVisionTransformer` is not used: it asks its attention for the attention weights, so they
are materialised and the fused kernels never run, and its parameter names differ from the published
files'.
"""

import math
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dsr_nss.checkpoints.mit import load_mit
from dsr_nss.checkpoints.reading import start_file
from dsr_nss.errors import ConfigError
from dsr_nss.values import OneOf, checked

HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)
MLP_RATIO = 4
#: The published networks use this epsilon around the blocks and torch's 1e-5 in the patch
#: embeddings and after the spatial reduction; released weights expect the mixture.
BLOCK_EPS = 1e-6


class Architecture(NamedTuple):
    """Widths and depths of the four stages."""

    channels: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]


ARCHITECTURES: Mapping[str, Architecture] = {
    'b0': Architecture((32, 64, 160, 256), (2, 2, 2, 2)),
    'b1': Architecture((64, 128, 320, 512), (2, 2, 2, 2)),
    'b2': Architecture((64, 128, 320, 512), (3, 4, 6, 3)),
    'b3': Architecture((64, 128, 320, 512), (3, 4, 18, 3)),
    'b4': Architecture((64, 128, 320, 512), (3, 8, 27, 3)),
    'b5': Architecture((64, 128, 320, 512), (3, 6, 40, 3)),
}


def to_tokens(feature_map: Tensor) -> Tensor:
    """`(B, C, h, w)` -> `(B, h * w, C)`."""
    return feature_map.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """`(B, h * w, C)` -> `(B, C, h, w)`, a view in channels-last memory order."""
    return tokens.transpose(1, 2).unflatten(2, size)


class PatchEmbedding(nn.Module):
    """Overlapping patches: a strided convolution and a layer norm; map -> tokens, size."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, kernel_size, stride, kernel_size // 2)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Floating map `(B, in_channels, H, W)` -> tokens `(B, h * w, channels)` and `(h, w)`."""
        x = self.proj(x)
        return self.norm(to_tokens(x)), (x.shape[2], x.shape[3])


class EfficientAttention(nn.Module):
    """Self-attention; keys and values come from a map whose sides are divided by `reduction`."""

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.reduction = reduction
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        if reduction > 1:
            self.sr = nn.Conv2d(channels, channels, reduction, reduction)
            self.norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Floating tokens `(B, h * w, C)` of a map of `size` `(h, w)` -> the same shape."""
        query = self.q(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
        if self.reduction > 1:
            tokens = self.norm(to_tokens(self.sr(to_map(tokens, size))))
        key, value = self.kv(tokens).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class DepthwiseConv(nn.Module):
    """A 3x3 depth-wise convolution on tokens; it is what tells the tokens where they are."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Floating tokens `(B, h * w, C)` of a map of `size` `(h, w)` -> the same shape."""
        return to_tokens(self.dwconv(to_map(tokens, size)))


class MixFeedForward(nn.Module):
    """Linear, depth-wise convolution, GELU, linear."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, MLP_RATIO * channels)
        self.dwconv = DepthwiseConv(MLP_RATIO * channels)
        self.fc2 = nn.Linear(MLP_RATIO * channels, channels)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Floating tokens `(B, h * w, C)` of a map of `size` `(h, w)` -> the same shape."""
        return self.fc2(F.gelu(self.dwconv(self.fc1(tokens), size)))


class Block(nn.Module):
    """Attention and feed-forward, each after a norm, with a residual and stochastic depth."""

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=BLOCK_EPS)
        self.attn = EfficientAttention(channels, heads, reduction)
        self.norm2 = nn.LayerNorm(channels, eps=BLOCK_EPS)
        self.mlp = MixFeedForward(channels)

    def forward(self, tokens: Tensor, size: tuple[int, int], paths: Tensor | None = None) -> Tensor:
        """Floating tokens `(B, h * w, C)` of a map of `size` `(h, w)` -> the same shape.

        `paths` `(2, B, 1, 1)` are the factors of both branches, see `MiT.draw_paths`.
        """
        branch = self.attn(self.norm1(tokens), size)
        tokens = tokens + (branch if paths is None else branch * paths[0])
        branch = self.mlp(self.norm2(tokens), size)
        return tokens + (branch if paths is None else branch * paths[1])


@MODELS.register_module()
@checked
class MiT(BaseModule):
    """Mix Transformer encoder with the parameter names of the published weight files.

    Source: Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with
    Transformers", 2021.

    Args:
        arch: One of 'b0' to 'b5'.
        drop_path_rate: Stochastic depth of the last block; it rises linearly from 0 at the first.
        with_cp: Activation checkpointing: in training, keep of each block its input only and
            compute the rest again for the gradient. Less memory, more time, the same result.
        init_cfg: None for random weights, or `dict(type='Pretrained', checkpoint=PATH)` for a file
            in one of the published layouts (see `dsr_nss.checkpoints.mit`); with `prefix` where the
            file holds several encoders, as this package's checkpoints do.

    Raises:
        ConfigError: Unknown `arch`, or an `init_cfg` of another type.
    """

    def __init__(
        self,
        arch: Annotated[str, OneOf(tuple(ARCHITECTURES))] = 'b0',
        drop_path_rate: float = 0.1,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.start = None if init_cfg is None else start_file(init_cfg, 'MiT')
        self.arch = arch
        self.with_cp = with_cp
        self.channels, depths = ARCHITECTURES[arch]
        self.depth = sum(depths)
        # not in checkpoints: a setting of the training
        self.register_buffer(
            'keep_rates',
            1 - torch.linspace(0, drop_path_rate, self.depth),
            persistent=False,
        )
        self.drop_path_rate = drop_path_rate
        in_channels = 3
        for stage, (channels, depth) in enumerate(zip(self.channels, depths, strict=True)):
            kernel_size, stride = (7, 4) if stage == 0 else (3, 2)
            embedding = PatchEmbedding(in_channels, channels, kernel_size, stride)
            blocks = nn.ModuleList(
                Block(channels, HEADS[stage], REDUCTIONS[stage]) for _ in range(depth)
            )
            setattr(self, f'patch_embed{stage + 1}', embedding)
            setattr(self, f'block{stage + 1}', blocks)
            setattr(self, f'norm{stage + 1}', nn.LayerNorm(channels, eps=BLOCK_EPS))
            in_channels = channels

    def init_weights(self) -> None:
        """Random weights as published, or those of the file that `init_cfg` names."""
        if self.start is not None:
            load_mit(self, *self.start)
        else:
            for module in self.modules():
                _initialise(module)
        self.is_init = True

    def draw_paths(self, image: Tensor) -> list[Tensor | None]:
        """What stochastic depth multiplies the branches of each block with.

        Drawn at once for all blocks: `DropPath` of mmcv takes four operations more for each
        branch, one of them on all of its tokens.

        Args:
            image: Input of `forward`, `(B, 3, H, W)`.

        Returns:
            For each block `(2, B, 1, 1)` in the precision of its branches: 0, or a factor for what
            is kept, such that the mean is 1; None where all are kept.
        """
        if not self.training or self.drop_path_rate == 0:
            return [None] * self.depth
        device = image.device.type
        half = torch.is_autocast_enabled(device)
        factors = (1 / self.keep_rates.view(-1, 1, 1, 1, 1)).to(
            torch.get_autocast_dtype(device) if half else image.dtype
        )
        drawn = torch.rand((self.depth, 2, len(image), 1, 1), device=image.device)
        # rates of the rounded factors, so that rounding does not move the mean
        return list(torch.where(drawn < 1 / factors.float(), factors, 0).unbind())

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Encode.

        Args:
            image: `(B, 3, H, W)`, normalised; any size of at least 29 pixels a side.

        Returns:
            Maps at strides 4, 8, 16 and 32, each `(B, C_i, ceil(H / stride), ceil(W / stride))`.

        Raises:
            ValueError: An image too small for the spatial reduction of the first stage.
        """
        if min(image.shape[2:]) < 29:
            raise ConfigError(
                f'MiT: an input of {image.shape[2]}x{image.shape[3]} pixels is too small, a side '
                'needs at least 29 (HRDA halves its input: 57); use larger crops or windows'
            )
        maps = []
        x = image
        paths = iter(self.draw_paths(image))
        for stage in range(1, 5):
            tokens, size = getattr(self, f'patch_embed{stage}')(x)
            for block in getattr(self, f'block{stage}'):
                if self.with_cp and torch.is_grad_enabled():
                    tokens = checkpoint(block, tokens, size, next(paths), use_reentrant=False)
                else:
                    tokens = block(tokens, size, next(paths))
            x = to_map(getattr(self, f'norm{stage}')(tokens), size)
            maps.append(x)
        return tuple(maps)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        height, width = module.kernel_size
        fan_out = height * width * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
