"""The matching head: features of two views -> flow and log-variance, coarse to fine.

Conventions, as in `dsr_nss.functional.warp`: the flow lives in the target view (night) and points
to the reference view (day), in pixels, x first. Levels, coarse to fine:

| level | computed on | correlation | unit of its flow inside |
|---|---|---|---|
| 4 | 16x16 of a 256x256 copy | global | mapping in [-1, 1] |
| 3 | 32x32 of that copy | 9x9 | pixels of the 256x256 copy |
| 2 | 1/8 of the image | 9x9 | pixels of the image |
| 1 | 1/4 of the image | 9x9 | pixels of the image |

Source: Bruggemann et al., "Refign: Align and Refine for Adaptation of Semantic Segmentation to
Adverse Conditions", 2023, whose published weights fit after `convert_uawarpc`.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from dsr_nss.functional.warp import per_axis, pixel_grid, sample_along
from dsr_nss.matching.correlation import (
    global_correlation,
    local_correlation,
    mutual_matching,
    normalize_correlation,
    normalize_features,
)
from dsr_nss.matching.layers import (
    DECODER_CHANNELS,
    FlowDecoder,
    FlowRefinement,
    LogVariance,
)

#: Side of the small copy and of its two feature maps.
COPY, COARSE, MIDDLE = 256, 16, 32
RADIUS = 4
NEIGHBOURS = (2 * RADIUS + 1) ** 2
#: Channels of the finer features that are handed to the finest level.
REDUCED = 2


class FlowEstimate(NamedTuple):
    """What one level says.

    Attributes:
        flow: `(B, 2, h, w)` float32 in pixels of the full image, x first, at the level's own size.
        log_variance: `(B, 1, h, w)` float32, `log s2` in squared pixels of the full image.
    """

    flow: Tensor
    log_variance: Tensor


class ViewFeatures(NamedTuple):
    """Features of one view, any number of channels that is equal in both views.

    Attributes:
        quarter: `(B, C1, h, w)` at 1/4 of the image.
        eighth: `(B, C2, h', w')` at 1/8 of the image.
        middle: `(B, C2, 32, 32)` of the 256x256 copy.
        coarse: `(B, C3, 16, 16)` of the 256x256 copy.
    """

    quarter: Tensor
    eighth: Tensor
    middle: Tensor
    coarse: Tensor


class UAWarpCHead(BaseModule):
    """Flow and log-variance at four levels; it has no parameters that depend on the features.

    Runs in float32 whatever the autocast mode: flows of hundreds of pixels, to a fraction of one,
    do not fit into half precision, and features take most of the time anyway.
    """

    def __init__(self) -> None:
        super().__init__()
        known = NEIGHBOURS + 2 + 1  # correlation, flow, log-variance
        self.decoder4 = FlowDecoder(COARSE**2)
        self.decoder3 = FlowDecoder(known)
        self.decoder2 = FlowDecoder(known)
        self.decoder1 = FlowDecoder(known + REDUCED)
        self.refinement3 = FlowRefinement()
        self.refinement1 = FlowRefinement()
        self.reduce = nn.Conv2d(DECODER_CHANNELS, REDUCED, 1)
        self.log_variance4 = LogVariance(COARSE, coarser=0)
        self.log_variance3 = LogVariance(2 * RADIUS + 1, coarser=3)
        self.log_variance2 = LogVariance(2 * RADIUS + 1, coarser=3)
        self.log_variance1 = LogVariance(2 * RADIUS + 1, coarser=3)

    def forward(
        self, target: ViewFeatures, reference: ViewFeatures, size: tuple[int, int]
    ) -> list[FlowEstimate]:
        """Match two views.

        Args:
            target: Features of the view in which the flow lives (night).
            reference: Features of the view to which the flow points (day).
            size: `(H, W)` of the images.

        Returns:
            Four estimates, coarse to fine, all in pixels of the full image.
        """
        with torch.autocast(target.quarter.device.type, enabled=False):
            target = ViewFeatures(*map(normalize_features, target))
            reference = ViewFeatures(*map(normalize_features, reference))
            small = (COPY, COPY)
            coarse = self._coarse(target.coarse, reference.coarse)
            middle, _ = self._finer(3, coarse, target.middle, reference.middle, small)
            coarse, middle = _rescale(coarse, size), _rescale(middle, size)
            eighth, features = self._finer(2, middle, target.eighth, reference.eighth, size)
            reduced = self.reduce(_resize(features, target.quarter.shape[2:]))
            quarter, _ = self._finer(1, eighth, target.quarter, reference.quarter, size, reduced)
        return [coarse, middle, eighth, quarter]

    def _coarse(self, target: Tensor, reference: Tensor) -> FlowEstimate:
        """Level 4, in pixels of the copy: every position against every position."""
        correlation = mutual_matching(global_correlation(target, reference))
        correlation = normalize_correlation(correlation)
        mapping, features = self.decoder4(correlation)
        log_variance = self.log_variance4(correlation, features)
        position = (mapping + 1) * ((COARSE - 1) / 2)
        stride = COPY // COARSE
        return FlowEstimate(
            (position - pixel_grid(COARSE, COARSE, mapping)) * stride,
            log_variance + 2 * math.log(stride),
        )

    def _finer(
        self,
        level: int,
        coarser: FlowEstimate,
        target: Tensor,
        reference: Tensor,
        size: tuple[int, int],
        extra: Tensor | None = None,
    ) -> tuple[FlowEstimate, Tensor]:
        """Levels 3 to 1: correct the coarser flow by what is found around where it points.

        Args:
            level: Number of the level (3 to 1) whose layers are used.
            coarser: Estimate of the level before, in pixels of an image of `size`.
            target: `(B, C, h, w)` features, of unit length.
            reference: `(B, C, h, w)` features, of unit length.
            size: `(H, W)` of the image in whose pixels the flow is measured.
            extra: `(B, 2, h, w)` further input of the decoder.

        Returns:
            The estimate, in pixels of an image of `size`, and the decoder's features.
        """
        flow = _resize(coarser.flow, target.shape[2:])
        log_variance = _resize(coarser.log_variance, target.shape[2:])
        warped = sample_along(reference, flow * _ratio(size, target.shape[2:], flow))
        correlation = normalize_correlation(local_correlation(target, warped, RADIUS))

        known = [correlation, flow, log_variance]
        if extra is not None:
            known.insert(2, extra)
        residual, features = getattr(self, f'decoder{level}')(torch.cat(known, dim=1))
        refinement = getattr(self, f'refinement{level}', None)
        if refinement is not None:
            residual = residual + refinement(features)
        log_variance = getattr(self, f'log_variance{level}')(
            correlation, features, torch.cat([log_variance, flow], dim=1)
        )
        return FlowEstimate(flow + residual, log_variance), features


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size, mode='bilinear', align_corners=False)


def _ratio(old: tuple[int, int], new: tuple[int, int], like: Tensor) -> Tensor:
    """`(1, 2, 1, 1)`: what to multiply a flow with that moves to another image size, x first."""
    return per_axis(new[1] / old[1], new[0] / old[0], like)


def _rescale(estimate: FlowEstimate, size: tuple[int, int]) -> FlowEstimate:
    """From pixels of the 256x256 copy to pixels of an image of `size`.

    The log-variance is one number for both directions, so it grows with the diagonal.
    """
    growth = math.hypot(*size) / math.hypot(COPY, COPY)
    return FlowEstimate(
        estimate.flow * _ratio((COPY, COPY), size, estimate.flow),
        estimate.log_variance + 2 * math.log(growth),
    )
