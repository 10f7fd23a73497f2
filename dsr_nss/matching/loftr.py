"""Matches of a detector-free matcher from kornia (LoFTR), interpolated to a dense flow."""

import importlib
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from dsr_nss.checkpoints.reading import read_state_dict, start_file
from dsr_nss.errors import CheckpointError
from dsr_nss.matching.scattered_flow import density_confidence, interpolate_matches
from dsr_nss.models.refine.aligners import Alignment
from dsr_nss.values import Bounds, Count, Positive, checked

#: The matcher's coarse cells: image sides are made multiples of it.
CELL = 8
HINT = (
    'It holds the LoFTR weights that kornia publishes (loftr_outdoor.ckpt, trained on MegaDepth); '
    'place it there, or run without alignment: '
    '`--cfg-options model.refinement.aligner.type=Identity`'
)


@MODELS.register_module()
@checked
class LoFTR(BaseModule):
    """Semi-dense matches of LoFTR: the flow by interpolation, the confidence from their density.

    Source: Sun et al., "LoFTR: Detector-Free Local Feature Matching with Transformers", 2021, in
    kornia's implementation, an optional package. It stays frozen and runs in float32.

    Args:
        init_cfg: `dict(type='Pretrained', checkpoint=PATH)`, kornia's file or a state dict; read
            when weights are initialised (training).
        max_side: Longer images are matched at this size; memory grows with its fourth power.
        sigma: Reach of a match in pixels of the full image, see `interpolate_matches`.
        support: Density of matches that makes the confidence `1 - 1 / e`.
        min_matches: Fewer matches than this count as "not aligned".

    Raises:
        ImportError: kornia is not installed.
    """

    def __init__(
        self,
        *,
        init_cfg: dict | None = None,
        max_side: Annotated[int, Bounds(CELL)] = 640,
        sigma: Positive = 16.0,
        support: Positive = 3.0,
        min_matches: Count = 20,
    ) -> None:
        super().__init__(init_cfg)
        self.matcher = _build_matcher()
        self.max_side = max_side
        self.sigma = sigma
        self.support = support
        self.min_matches = min_matches
        self.requires_grad_(False).train()

    def init_weights(self) -> None:
        """The weights of the file.

        Raises:
            FileNotFoundError: It is not there; the message says how to get it or do without.
            CheckpointError: It does not fit, or no file is named.
        """
        if self.init_cfg is None:
            raise CheckpointError(
                'LoFTR aligns with trained weights: set model.refinement.aligner.init_cfg='
                "dict(type='Pretrained', checkpoint=PATH)"
            )
        path, prefix = start_file(self.init_cfg, 'LoFTR')
        state_dict = read_state_dict(path, HINT, prefix)
        try:
            self.matcher.load_state_dict(state_dict)
        except RuntimeError as error:
            raise CheckpointError(f'{path} does not fit LoFTR: {error}') from error
        self.is_init = True

    def train(self, mode: bool = True) -> 'LoFTR':
        """Stay in eval mode, whatever the parent does."""
        return super().train(False)

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

    def match(self, night: Tensor, day: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Matches of one pair `(1, 3, H, W)`.

        Returns:
            Positions in the night image `(N, 2)` and flows `(N, 2)`, in pixels of the images, x
            first, and scores `(N,)` in (0, 1].
        """
        size = _working_size(night.shape[2], night.shape[3], self.max_side)
        with torch.autocast(night.device.type, enabled=False):
            found = self.matcher({'image0': _grey(night, size), 'image1': _grey(day, size)})
        scale = night.new_tensor([night.shape[3] / size[1], night.shape[2] / size[0]])
        start, end = (found[name].float() * scale for name in ('keypoints0', 'keypoints1'))
        # its positions have the centre of the first pixel at (0.5, 0.5)
        return start - 0.5, end - start, found['confidence'].float()


def _build_matcher() -> nn.Module:
    try:
        kornia: Any = importlib.import_module('kornia.feature')
    except ImportError as error:
        raise ImportError(
            'the aligner LoFTR needs kornia: install it with `pip install -e .[matching]`'
        ) from error
    return kornia.LoFTR(pretrained=None)


def _working_size(height: int, width: int, max_side: int) -> tuple[int, int]:
    """At most `max_side` a side, in whole cells."""
    scale = min(1.0, max_side / max(height, width))
    rows, columns = (max(round(side * scale / CELL), 1) * CELL for side in (height, width))
    return rows, columns


def _grey(image: Tensor, size: tuple[int, int]) -> Tensor:
    weights = image.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    grey = (image * weights).sum(dim=1, keepdim=True).float()
    return F.interpolate(grey, size, mode='bilinear', align_corners=False, antialias=True)
