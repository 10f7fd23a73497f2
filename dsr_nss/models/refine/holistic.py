"""Holistic refinement: the teacher's night prediction, corrected by the aligned day prediction."""

from collections.abc import Sequence
from typing import Annotated

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.functional.refinement import refine
from dsr_nss.functional.warp import warp
from dsr_nss.models.named_classes import named_classes
from dsr_nss.values import NotNegative, OneOf, checked

UNALIGNED = ('night', 'static')


@MODELS.register_module()
@checked
class HolisticRefinement(BaseModule):
    """Aligns the day reference, warps its prediction into the night view and refines (Refign).

    Args:
        aligner: Config of the aligner: `Identity`, `Homography` or any module with their interface.
        class_names: Names of all classes; the position is the id.
        static_classes: Names of the large static classes, for which the day is trusted whatever the
            match.
        gamma: Exponent of the trust factor.
        unaligned: What a day that the aligner cannot align may say: `'night'`: nothing, `'static'`:
            as it is, where both views show large static classes.
    """

    class_fields = dict(class_names='names', static_classes='large_static')

    def __init__(
        self,
        *,
        aligner: dict,
        class_names: Sequence[str],
        static_classes: Sequence[str],
        gamma: NotNegative = 0.25,
        unaligned: Annotated[str, OneOf(UNALIGNED)] = 'night',
    ) -> None:
        super().__init__()
        self.aligner = MODELS.build(aligner).requires_grad_(False).eval()
        self.register_buffer(
            'is_static', named_classes(static_classes, class_names), persistent=False
        )
        self.gamma = gamma
        self.unaligned = unaligned

    def train(self, mode: bool = True) -> 'HolisticRefinement':
        """Stay in eval mode: the aligner is frozen."""
        return super().train(False)

    @torch.no_grad()
    def forward(
        self,
        logits_night: Tensor,
        logits_day: Tensor,
        night_pixels: Tensor,
        day_pixels: Tensor,
        has_reference: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Refined scores.

        Args:
            logits_night: `(B, C, H, W)` teacher logits of the night image.
            logits_day: `(B, C, H, W)` teacher logits of the day reference.
            night_pixels: `(B, 3, H, W)` RGB in [0, 1].
            day_pixels: `(B, 3, H, W)` day reference, RGB in [0, 1].
            has_reference: `(B,)` bool; False keeps the night prediction.

        Returns:
            `(B, C, H, W)` scores that need not sum to one, and the share of samples with a
            reference that could not be aligned, 0-dimensional.
        """
        alignment = self.aligner(night_pixels, day_pixels)
        flow, confidence, usable = alignment.flow, alignment.confidence, has_reference
        if self.unaligned == 'static':
            aligned = alignment.aligned.view(-1, 1, 1, 1)
            flow, confidence = flow * aligned, confidence * aligned
        else:
            usable = usable & alignment.aligned
        logits_day, valid = warp(logits_day, flow)
        refined = refine(
            logits_night,
            logits_day,
            confidence,
            valid & usable.view(-1, 1, 1),
            self.is_static,
            self.gamma,
        )
        unaligned = (has_reference & ~alignment.aligned).sum() / has_reference.sum().clamp(min=1)
        return refined, unaligned
