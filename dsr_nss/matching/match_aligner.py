"""An aligner from a matcher of points: the flow by interpolation, the confidence from density."""

from typing import Annotated

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from dsr_nss.matching.scattered_flow import density_confidence, interpolate_matches
from dsr_nss.models.refine.aligners import Alignment
from dsr_nss.values import Bounds, Count, Positive, checked


@checked
class MatchAligner(BaseModule):
    """What aligners from scattered matches share; a matcher says in :meth:`match` what matches.

    It stays frozen and runs in float32.

    Args:
        init_cfg: `dict(type='Pretrained', checkpoint=PATH)`: where the weights are.
        max_side: Longer images are matched at this size, in pixels.
        sigma: Reach of a match in pixels of the full image, see `interpolate_matches`.
        support: Density of matches that makes the confidence `1 - 1 / e`.
        min_matches: Fewer matches than this count as "not aligned".
    """

    #: Image sides are made multiples of it.
    cell = 8

    def __init__(
        self,
        *,
        init_cfg: dict | None = None,
        max_side: Annotated[int, Bounds(8)] = 640,
        sigma: Positive = 16.0,
        support: Positive = 3.0,
        min_matches: Count = 20,
    ) -> None:
        super().__init__(init_cfg)
        self.max_side = max_side
        self.sigma = sigma
        self.support = support
        self.min_matches = min_matches

    def train(self, mode: bool = True) -> 'MatchAligner':
        """Stay in eval mode, whatever the parent does."""
        return super().train(False)

    def match(self, night: Tensor, day: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Matches of one pair `(1, 3, H, W)` of RGB in [0, 1].

        Returns:
            Positions in the night image `(N, 2)` and flows `(N, 2)`, in pixels of the images, x
            first, and scores `(N,)` in (0, 1].
        """
        raise NotImplementedError

    @torch.no_grad()
    def forward(self, night: Tensor, day: Tensor) -> Alignment:
        """Align two batches `(B, 3, H, W)` of RGB in [0, 1]."""
        batch, _, height, width = night.shape
        flow = night.new_zeros(batch, 2, height, width, dtype=torch.float32)
        confidence = night.new_zeros(batch, 1, height, width, dtype=torch.float32)
        aligned = []
        for i in range(batch):
            points, flows, scores = self.match(night[i : i + 1], day[i : i + 1])
            aligned.append(len(points) >= self.min_matches)
            if aligned[-1]:
                flow[i], density = interpolate_matches(
                    points, flows, scores, (height, width), self.sigma
                )
                confidence[i] = density_confidence(density, self.support)
        return Alignment(flow, confidence, torch.tensor(aligned, device=night.device))

    def working_grey(self, image: Tensor) -> Tensor:
        """A grey copy `(1, 1, h, w)` of at most `max_side` a side, in whole cells; float32."""
        size = _working_size(image.shape[2], image.shape[3], self.max_side, self.cell)
        weights = image.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        grey = (image * weights).sum(dim=1, keepdim=True).float()
        return F.interpolate(grey, size, mode='bilinear', align_corners=False, antialias=True)


def enlargement(image: Tensor, copy: Tensor) -> Tensor:
    """Pixels of `image` a pixel of its `copy`, both `(1, C, H, W)`: `(2,)`, x first."""
    return image.new_tensor(
        [image.shape[3] / copy.shape[3], image.shape[2] / copy.shape[2]], dtype=torch.float32
    )


def _working_size(height: int, width: int, max_side: int, cell: int) -> tuple[int, int]:
    scale = min(1.0, max_side / max(height, width))
    rows, columns = (max(round(side * scale / cell), 1) * cell for side in (height, width))
    return rows, columns
