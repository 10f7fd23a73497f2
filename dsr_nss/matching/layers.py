"""What reads the correlations: flow decoders, their refinement, and the log-variance."""

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import Tensor, nn

#: Channels that a flow decoder hands on beside its flow.
DECODER_CHANNELS = 32
#: Channels that describe the shape of the correlation around a position.
PEAK_CHANNELS = 6
SLOPE = 0.1
#: Positions whose correlations are looked at together outside of training: bounds the memory, whose
#: first map has 32 x 7 x 7 values a position.
CHUNK = 16384


def _conv(
    in_channels: int,
    channels: int,
    kernel_size: int = 3,
    *,
    dilation: int = 1,
    padded: bool = True,
    activate: bool = True,
) -> ConvModule:
    """Convolution without bias, batch norm and, unless told otherwise, leaky ReLU."""
    return ConvModule(
        in_channels,
        channels,
        kernel_size,
        padding=dilation * (kernel_size // 2) if padded else 0,
        dilation=dilation,
        norm_cfg=dict(type='BN'),
        act_cfg=dict(type='LeakyReLU', negative_slope=SLOPE) if activate else None,
    )


class FlowDecoder(nn.Module):
    """Correlation and what is known so far -> a flow (or mapping) and features.

    Two shortcuts start before an activation, so they see what the activation cuts off.

    Args:
        in_channels: Number of channels of the input.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv0 = _conv(in_channels, 128, activate=False)
        self.conv1 = _conv(128, 128)
        self.conv2 = _conv(128, 96, activate=False)
        self.shortcut2 = _conv(128, 96, 1, activate=False)
        self.conv3 = _conv(96, 64)
        self.conv4 = _conv(64, DECODER_CHANNELS, activate=False)
        self.shortcut4 = _conv(96, DECODER_CHANNELS, 1, activate=False)
        self.predict = nn.Conv2d(DECODER_CHANNELS, 2, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, in_channels, h, w)` -> `(B, 2, h, w)` and `(B, 32, h, w)`."""
        first = self.conv0(x)
        middle = self.conv2(self.conv1(_leaky(first))) + self.shortcut2(first)
        last = self.conv4(self.conv3(_leaky(middle))) + self.shortcut4(middle)
        features = _leaky(last)
        return self.predict(features), features


class FlowRefinement(nn.Sequential):
    """A correction of the flow from the decoder's features in a wide, dilated neighbourhood."""

    def __init__(self) -> None:
        widths = (DECODER_CHANNELS, 128, 128, 128, 96, 64, 32)
        dilations = (1, 2, 4, 8, 16, 1)
        super().__init__(
            *(
                _conv(widths[i], widths[i + 1], dilation=dilation)
                for i, dilation in enumerate(dilations)
            ),
            nn.Conv2d(widths[-1], 2, 3, padding=1),
        )


class LogVariance(nn.Module):
    """How far the flow may be off, from the shape of the correlation and the decoder's features.

    The correlation of one position with its neighbours is a picture: one sharp peak means a sure
    match, a ridge or several peaks an unsure one. Un-padded convolutions reduce it to one cell.

    Args:
        size: Side of that picture: 16 (global, pooled once) or 9 (local).
        coarser: Channels of what a coarser level hands on (log-variance and flow), or 0.
    """

    def __init__(self, size: int, coarser: int) -> None:
        super().__init__()
        if size not in (9, 16):
            raise ValueError(f'size must be 9 (local) or 16 (global), got {size}')
        self.size = size
        self.peak = nn.Sequential(
            _conv(1, 32, padded=False),
            nn.MaxPool2d(2) if size == 16 else nn.Identity(),
            _conv(32, 32, padded=False),
            _conv(32, 16, padded=False),
            nn.Conv2d(16, PEAK_CHANNELS, 3),
        )
        self.conv0 = _conv(PEAK_CHANNELS + DECODER_CHANNELS + coarser, 32)
        self.conv1 = _conv(32, 16)
        self.predict = nn.Conv2d(16, 1, 3, padding=1)

    def forward(
        self, correlation: Tensor, features: Tensor, coarser: Tensor | None = None
    ) -> Tensor:
        """Log-variance.

        Args:
            correlation: `(B, size ** 2, h, w)`, row by row of the picture.
            features: `(B, 32, h, w)` of the decoder.
            coarser: `(B, coarser, h, w)`.

        Returns:
            `(B, 1, h, w)`, in the squared unit of the decoder's flow.
        """
        known = [self._peaks(correlation), features] + ([] if coarser is None else [coarser])
        return self.predict(self.conv1(self.conv0(torch.cat(known, dim=1))))

    def _peaks(self, correlation: Tensor) -> Tensor:
        batch, _, height, width = correlation.shape
        pictures = correlation.permute(0, 2, 3, 1).reshape(-1, 1, self.size, self.size)
        # batch norms in training need all positions at once
        whole = self.training or torch.is_grad_enabled()
        chunks = [pictures] if whole else pictures.split(CHUNK)
        peaks = torch.cat([self.peak(chunk) for chunk in chunks])
        return peaks.view(batch, height, width, PEAK_CHANNELS).permute(0, 3, 1, 2)


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)
