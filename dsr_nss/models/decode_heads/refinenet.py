"""The decoder of RefineNet: four paths that refine the coarse map by the finer ones."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from dsr_nss.values import checked

#: Residual conv units before the fusion and after the pooling of a path, and poolings in a chain.
ADAPT_UNITS, OUTPUT_UNITS, POOLINGS = 2, 3, 4


def conv3x3(in_channels: int, channels: int, bias: bool = False) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size."""
    return nn.Conv2d(in_channels, channels, 3, padding=1, bias=bias)


class ResidualConvUnit(nn.Module):
    """Two 3x3 convolutions, each after a ReLU, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels, bias=True)
        self.conv2 = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Floating `(B, channels, h, w)` -> the same shape."""
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class MultiResolutionFusion(nn.Module):
    """The fine map and the upsampled coarser one, each after a 3x3 convolution, added."""

    def __init__(self, fine_channels: int, coarse_channels: int) -> None:
        super().__init__()
        self.fine = conv3x3(fine_channels, fine_channels)
        self.coarse = conv3x3(coarse_channels, fine_channels)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Fuse two floating maps.

        Args:
            fine: `(B, fine_channels, h, w)`.
            coarse: `(B, coarse_channels, h', w')`.

        Returns:
            `(B, fine_channels, h, w)`.
        """
        # the published decoder aligns corners inside; its logits are resized without
        upsampled = F.interpolate(
            self.coarse(coarse), fine.shape[2:], mode='bilinear', align_corners=True
        )
        return self.fine(fine) + upsampled


class ChainedResidualPooling(nn.Module):
    """A chain of 5x5 max poolings and convolutions; the input and every link are summed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv3x3(channels, channels) for _ in range(POOLINGS))

    def forward(self, x: Tensor) -> Tensor:
        """Floating `(B, channels, h, w)` -> the same shape."""
        total = link = x
        for conv in self.convs:
            link = conv(F.max_pool2d(link, kernel_size=5, stride=1, padding=2))
            total = total + link
        return total


class RefinementPath(nn.Module):
    """One path: reduce an encoder map, adapt it, fuse it with the coarser path, pool, refine.

    Args:
        in_channels: Number of channels of the encoder map.
        channels: Number of channels of this path.
        coarse_channels: Number of channels of the coarser path; None for the coarsest, which fuses
            nothing.
    """

    def __init__(self, in_channels: int, channels: int, coarse_channels: int | None) -> None:
        super().__init__()
        self.reduce = conv3x3(in_channels, channels)
        self.adapt = nn.Sequential(*(ResidualConvUnit(channels) for _ in range(ADAPT_UNITS)))
        self.fusion = (
            None if coarse_channels is None else MultiResolutionFusion(channels, coarse_channels)
        )
        self.pooling = ChainedResidualPooling(channels)
        self.output = nn.Sequential(*(ResidualConvUnit(channels) for _ in range(OUTPUT_UNITS)))

    def forward(self, feature_map: Tensor, coarse: Tensor | None) -> Tensor:
        """Refine one floating map.

        Args:
            feature_map: `(B, in_channels, h, w)` map of the encoder.
            coarse: `(B, coarse_channels, h', w')` result of the coarser path; None where there is
                none.

        Returns:
            `(B, channels, h, w)`.
        """
        x = self.adapt(self.reduce(feature_map))
        if self.fusion is not None:
            x = self.fusion(x, coarse)
        return self.output(self.pooling(F.relu(x)))


@MODELS.register_module()
@checked
class RefineNetHead(BaseDecodeHead):
    """Four-path multi-resolution refinement on a ResNet.

    Source: Lin et al., "RefineNet: Multi-Path Refinement Networks for High-Resolution Semantic
    Segmentation", 2017; mmseg has no RefineNet.

    Args:
        in_channels: Channels of the encoder maps, fine to coarse.
        num_classes: `K`.
        channels: Width of the paths but the coarsest.
        coarsest_channels: Width of the coarsest path.
        dropout_ratio: Dropout on the two coarsest maps as the decoder reads them and before the
            classifier; it drops single values, not channels.
        **kwargs: Further arguments of mmseg's `BaseDecodeHead`.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int],
        num_classes: int,
        channels: int = 256,
        coarsest_channels: int = 512,
        dropout_ratio: float = 0.5,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault('in_index', list(range(len(in_channels))))
        super().__init__(
            in_channels=list(in_channels),
            channels=channels,
            num_classes=num_classes,
            input_transform='multiple_select',
            dropout_ratio=dropout_ratio,
            **kwargs,
        )
        widths = [channels] * (len(in_channels) - 1) + [coarsest_channels]
        coarser = [*widths[1:], None]
        #: Fine to coarse, as the encoder maps.
        self.paths = nn.ModuleList(
            RefinementPath(*fields) for fields in zip(in_channels, widths, coarser, strict=True)
        )
        self.dropout = nn.Dropout(dropout_ratio)
        self.conv_seg = conv3x3(widths[0], self.out_channels, bias=True)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Encoder maps -> logits `(B, K, h, w)` at the size of the finest map."""
        maps = self._transform_inputs(features)
        maps = [*maps[:-2], *(self.dropout(coarse_map) for coarse_map in maps[-2:])]
        x = None
        for path, feature_map in zip(reversed(self.paths), reversed(maps), strict=True):
            x = path(feature_map, x)
        return self.cls_seg(x)
