"""The fusion head of DAFormer, and the small variant of it that is HRDA's scale attention."""

from collections.abc import Sequence
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.decode_heads.sep_aspp_head import DepthwiseSeparableASPPModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from dsr_nss.values import Count, OneOf, checked

FUSIONS = ('aspp', 'conv1x1')


class LevelEmbedding(nn.Module):
    """One linear layer over the channels of a map: `(B, C, h, w)` -> `(B, D, h, w)`."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, channels)

    def forward(self, feature_map: Tensor) -> Tensor:
        """Floating `(B, in_channels, h, w)` -> `(B, channels, h, w)`."""
        return self.proj(feature_map.movedim(1, -1)).movedim(-1, 1)


class SeparableASPP(nn.Module):
    """Parallel atrous convolutions (depth-wise separable beyond dilation 1) and a 3x3 merge."""

    def __init__(
        self, in_channels: int, channels: int, dilations: Sequence[int], **conv: Any
    ) -> None:
        super().__init__()
        self.aspp_modules = DepthwiseSeparableASPPModule(
            dilations=tuple(dilations), in_channels=in_channels, channels=channels, **conv
        )
        self.bottleneck = ConvModule(
            len(dilations) * channels, channels, kernel_size=3, padding=1, **conv
        )

    def forward(self, x: Tensor) -> Tensor:
        """Floating `(B, in_channels, h, w)` -> `(B, channels, h, w)`."""
        if x.device.type == 'cpu':
            # an encoder of tokens gives channels-last maps, which oneDNN's wide depth-wise
            # convolutions take many times as long for (docs/performance.md)
            x = x.contiguous()
        return self.bottleneck(torch.cat(self.aspp_modules(x), dim=1))


@MODELS.register_module()
@checked
class DAFormerHead(BaseDecodeHead):
    """Embed all encoder levels, bring them to the finest, fuse, classify.

    Source: Hoyer et al., "DAFormer: Improving Network Architectures and Training Strategies for
    Domain-Adaptive Semantic Segmentation", 2022.

    Args:
        in_channels: Channels of the encoder maps, fine to coarse.
        channels: Channels after the fusion.
        embed_channels: Channels that each level is embedded to.
        fusion: 'aspp' (DAFormer) or 'conv1x1' (HRDA's scale attention).
        dilations: Dilations of the parallel branches of 'aspp'; 1 stands for a plain 1x1
            convolution.
        norm_cfg: Normalisation after each convolution.
        **kwargs: Further arguments of mmseg's `BaseDecodeHead`, among them `num_classes` and
            `dropout_ratio`.

    Raises:
        ConfigError: Unknown `fusion`.
    """

    def __init__(
        self,
        in_channels: Sequence[Count],
        channels: Count = 256,
        *,
        embed_channels: Count = 256,
        fusion: Annotated[str, OneOf(FUSIONS)] = 'aspp',
        dilations: Sequence[Count] = (1, 6, 12, 18),
        norm_cfg: dict | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault('in_index', list(range(len(in_channels))))
        super().__init__(
            in_channels=list(in_channels),
            channels=channels,
            norm_cfg=norm_cfg or dict(type='BN'),
            input_transform='multiple_select',
            **kwargs,
        )
        self.embed_layers = nn.ModuleList(
            LevelEmbedding(level, embed_channels) for level in in_channels
        )
        conv = dict(conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        fused = len(in_channels) * embed_channels
        self.fuse_layer: nn.Module = (
            SeparableASPP(fused, channels, dilations, **conv)
            if fusion == 'aspp'
            else ConvModule(fused, channels, kernel_size=1, **conv)
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Encoder maps -> logits `(B, K, h, w)` at the size of the finest map."""
        features = self._transform_inputs(features)
        size = features[0].shape[2:]
        levels = [
            F.interpolate(embed(x), size, mode='bilinear', align_corners=self.align_corners)
            for embed, x in zip(self.embed_layers, features, strict=True)
        ]
        return self.cls_seg(self.fuse_layer(torch.cat(levels, dim=1)))
