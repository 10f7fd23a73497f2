"""The light decoder of VFM-UDA: the last token map, enlarged four times, and a classifier."""

from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from dsr_nss.errors import ConfigError
from dsr_nss.values import Share, checked


@MODELS.register_module()
@checked
class LightHead(BaseDecodeHead):
    """Two transposed convolutions and a 3x3 one on a single map, at stride 4 for patches of 16.

    Source: Englert et al., "Exploring the Benefits of Vision Foundation Models for Unsupervised
    Domain Adaptation", 2024.

    Args:
        in_channels: Channels of the token map; a multiple of 4.
        in_index: The map.
        dropout_ratio: Share of channels that is dropped before the classifier.
        init_cfg: None for a normal distribution of deviation 0.1 in the classifier.
        **kwargs: Further arguments of mmseg's `BaseDecodeHead`, among them `num_classes`; not
            `channels`, `norm_cfg` and `act_cfg`, as the layers are those of the source.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        in_index: int = -1,
        dropout_ratio: Share = 0,
        init_cfg: dict | None = None,
        **kwargs: Any,
    ) -> None:
        stated = {'channels', 'norm_cfg', 'act_cfg'} & kwargs.keys()
        if stated:
            raise ConfigError(f'LightHead has no field {", ".join(sorted(stated))}; leave it out')
        super().__init__(
            in_channels=in_channels,
            channels=in_channels // 4,
            in_index=in_index,
            dropout_ratio=dropout_ratio,
            init_cfg=init_cfg or dict(type='Normal', std=0.1, override=dict(name='conv_seg')),
            **kwargs,
        )
        half, quarter = in_channels // 2, in_channels // 4
        self.upscale = nn.Sequential(
            nn.ConvTranspose2d(in_channels, half, 2, stride=2, bias=False),
            LayerNorm2d(half),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, stride=2, bias=False),
            LayerNorm2d(quarter),
            nn.Conv2d(quarter, quarter, 3, padding=1, bias=False),
            LayerNorm2d(quarter),
        )
        self.conv_seg = nn.Conv2d(quarter, self.out_channels, 1, bias=False)

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Encoder maps -> logits `(B, K, 4 h, 4 w)` of the one of `in_index`, `(B, D, h, w)`."""
        return self.cls_seg(self.upscale(self._transform_inputs(features)))
