"""The dense matching network as an aligner."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.errors import CheckpointError
from dsr_nss.functional.warp import match_confidence
from dsr_nss.matching.network import MatchingNetwork
from dsr_nss.models.refine.aligners import Alignment
from dsr_nss.values import checked


@MODELS.register_module()
@checked
class UAWarpC(BaseModule):
    """Flow and confidence from a trained matching network (UAWarpC, Refign), which stays frozen.

    Each sample is matched on its own, so what a sample without a reference is paired with does not
    matter to the others. Its weights are part of the state dict, once, so that a resumed run aligns
    as before.

    Args:
        init_cfg: `dict(type='Pretrained', checkpoint=PATH)`, a file in a layout of
            `dsr_nss.matching.weights`. It is read when weights are initialised (training), not
            when the model is built (testing does not need it).
        pyramid: Config of the features; by default VGG-16, as in published weights.
        radius: `R` of the confidence in pixels: a match this near counts as right.
    """

    def __init__(
        self, init_cfg: dict | None = None, pyramid: dict | None = None, radius: float = 1.0
    ) -> None:
        super().__init__()
        self.network = MatchingNetwork(pyramid=pyramid, init_cfg=init_cfg)
        self.radius = radius
        self.requires_grad_(False).train()

    def init_weights(self) -> None:
        """The weights of the file.

        Raises:
            FileNotFoundError: It is not there; the message says how to get it or do without.
            CheckpointError: It does not fit, or no file is named.
        """
        if self.network.init_cfg is None:
            raise CheckpointError(
                'UAWarpC aligns with trained weights: set model.refinement.aligner.init_cfg='
                "dict(type='Pretrained', checkpoint=PATH), or run without alignment: "
                '--cfg-options model.refinement.aligner.type=Identity'
            )
        self.network.init_weights()
        self.is_init = True

    def train(self, mode: bool = True) -> 'UAWarpC':
        """Stay in eval mode, whatever the parent does."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, night: Tensor, day: Tensor) -> Alignment:
        """Align two batches `(B, 3, H, W)` of RGB in [0, 1].

        The finest estimate, at 1/4, is upsampled to the image (bilinear, `align_corners=False`).
        """
        finest = self.network(night, day)[-1]
        size = night.shape[2:]
        flow, log_variance = (
            F.interpolate(x, size, mode='bilinear', align_corners=False) for x in finest
        )
        return Alignment(
            flow=flow,
            confidence=match_confidence(log_variance, self.radius),
            aligned=torch.ones(len(night), dtype=torch.bool, device=night.device),
        )
