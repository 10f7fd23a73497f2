"""Dynamic- and small-object mixing of the source into the night image (paper equations 1 to 4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.functional.class_mix import class_mask, draw_half, mix, present_classes
from dsr_nss.models.named_classes import named_classes


@dataclass
class Mixed:
    """A mixed batch.

    Attributes:
        image: `(B, 3, H, W)` normalised.
        label: `(B, H, W)` int64.
        weight: `(B, H, W)` float32, the pixel weight `q`.
        mask: `(B, 1, H, W)` bool, True where the pixel comes from the source or the bank.
    """

    image: Tensor
    label: Tensor
    weight: Tensor
    mask: Tensor


@MODELS.register_module()
class DSRMixup(BaseModule):
    """`X_m = M_c X_s + (1 - M_c) X_n` with `M_c = M_r or M_m`.

    `M_r` holds a random half of the classes of the source label, `M_m` every present class of
    `always_classes`. With `always_classes=()` this is ClassMix; with `random_half=False` as well
    the mask is empty and the mixed image is the night image.

    Args:
        class_names: Names of all classes; the position is the id.
        always_classes: Names of the classes that are always pasted.
        random_half: Whether half of the present classes are drawn in addition.
    """

    def __init__(
        self,
        *,
        class_names: Sequence[str],
        always_classes: Sequence[str],
        random_half: bool = True,
    ) -> None:
        super().__init__()
        self.num_classes = len(class_names)
        self.random_half = random_half
        self.register_buffer('always', named_classes(always_classes, class_names), persistent=False)

    def forward(
        self,
        source_image: Tensor,
        source_label: Tensor,
        night_image: Tensor,
        pseudo_label: Tensor,
        pseudo_weight: Tensor,
    ) -> Mixed:
        """Mix.

        Args:
            source_image: `(B, 3, H, W)`.
            source_label: `(B, H, W)` int64.
            night_image: `(B, 3, H, W)`.
            pseudo_label: `(B, H, W)` int64, arg-max of the refined prediction.
            pseudo_weight: 0-dimensional, the weight `q` of every target pixel.
        """
        present = present_classes(source_label, self.num_classes)
        selected = present & self.always
        if self.random_half:
            scores = torch.rand(present.shape).to(present.device, non_blocking=True)
            selected = selected | draw_half(present, scores)
        mask = class_mask(source_label, selected)
        return Mixed(
            image=mix(mask, source_image, night_image),
            label=mix(mask, source_label, pseudo_label),
            weight=torch.where(mask[:, 0], torch.ones_like(pseudo_weight), pseudo_weight),
            mask=mask,
        )
