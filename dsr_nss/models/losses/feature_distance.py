"""ImageNet feature distance: the base methods' regulariser (DAFormer)."""

import copy
from collections.abc import Sequence
from typing import Annotated

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from dsr_nss.functional.feature_distance import feature_distance
from dsr_nss.models.named_classes import named_classes
from dsr_nss.values import Bounds, NotNegative, checked


@MODELS.register_module()
@checked
class FeatureDistance(BaseModule):
    """Keeps thing features of the source near those of the encoder that training started from.

    The frozen encoder is a copy of the student's after its weights were loaded, and part of the
    state dict, so that a resumed run compares with the same one.

    Args:
        encoder: The student's encoder.
        class_names: Names of all classes; the position is the id.
        classes: Names of the classes whose cells count.
        weight: Factor of the loss.
        min_ratio: Share of a feature cell that the class must cover.
    """

    def __init__(
        self,
        *,
        encoder: nn.Module,
        class_names: Sequence[str],
        classes: Sequence[str],
        weight: NotNegative = 0.005,
        min_ratio: Annotated[float, Bounds(above=0.5, most=1)] = 0.75,
    ) -> None:
        super().__init__()
        self.register_buffer('counted', named_classes(classes, class_names), persistent=False)
        self.weight = weight
        self.min_ratio = min_ratio
        self.encoder = copy.deepcopy(encoder).requires_grad_(False).eval()

    def init_weights(self) -> None:
        """Nothing: the weights are copied by :meth:`copy_from`."""

    def train(self, mode: bool = True) -> 'FeatureDistance':
        """Stay in eval mode."""
        return super().train(False)

    def copy_from(self, encoder: nn.Module) -> None:
        """Take the start weights of the student's encoder."""
        self.encoder.load_state_dict(encoder.state_dict())

    def forward(self, features: Tensor, image: Tensor, label: Tensor) -> Tensor:
        """The weighted distance.

        Args:
            features: `(B, D, h, w)`, the student's last encoder map of `image`.
            image: `(B, 3, H, W)` what the student's encoder saw (HRDA: the half-size image).
            label: `(B, H', W')` int64 source label at any larger size.

        Returns:
            0-dimensional; a finite zero when no cell qualifies.
        """
        with torch.no_grad():
            frozen = self.encoder(image)[-1]
        return self.weight * feature_distance(features, frozen, label, self.counted, self.min_ratio)
