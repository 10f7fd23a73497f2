"""The head of DeepLabv2: parallel atrous classifiers whose scores are added."""

from collections.abc import Sequence
from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from dsr_nss.values import Count, checked


@MODELS.register_module()
@checked
class DeepLabV2Head(BaseDecodeHead):
    """3x3 convolutions of several dilations straight to class scores, summed.

    mmseg has DeepLabv3's ASPP alone, which concatenates normalised branches of a hidden width.

    Source: Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous
    Convolution, and Fully Connected CRFs", 2016.

    Args:
        in_channels: Channels of the encoder map that is read.
        num_classes: `K`.
        dilations: Dilations of the branches, one branch each.
        in_index: Index of the encoder map that is read; -1 is the last.
        init_cfg: mmengine's config of the initialisation; None: the published one, a normal
            distribution of standard deviation 0.01.
        **kwargs: Further arguments of mmseg's `BaseDecodeHead`.
    """

    def __init__(
        self,
        *,
        in_channels: Count,
        num_classes: Count,
        dilations: Sequence[Count] = (6, 12, 18, 24),
        in_index: int = -1,
        init_cfg: dict | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=num_classes,
            num_classes=num_classes,
            in_index=in_index,
            dropout_ratio=0,
            init_cfg=init_cfg or dict(type='Normal', layer='Conv2d', std=0.01),
            **kwargs,
        )
        self.conv_seg = None  # the branches are the classifiers
        self.branches = nn.ModuleList(
            nn.Conv2d(in_channels, self.out_channels, 3, padding=d, dilation=d) for d in dilations
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Encoder maps -> logits `(B, K, h, w)` at the size of the map that is read."""
        x = self._transform_inputs(features)
        logits = self.branches[0](x)
        for branch in self.branches[1:]:
            logits = logits + branch(x)
        return logits
