"""Mixing of dynamic and small objects of the source into the night image [1] to [4].

Numbers in brackets are equations of arXiv 2310.04747.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.functional.class_mix import (
    add_companions,
    class_mask,
    draw_half,
    mix,
    present_classes,
)
from dsr_nss.models.named_classes import named_classes
from dsr_nss.values import OneOf, checked


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
@checked
class DSRMixup(BaseModule):
    """`X_m = M_c X_s + (1 - M_c) X_n` with `M_c = M_r or M_m`.

    `M_r` holds a random half of the classes of the source label, `M_m` every present class of
    `always_classes`. With `always_classes=()` this is ClassMix; with `random_half=False` as well
    the mask is empty and the mixed image is the night image.

    Args:
        class_names: Names of all classes; the position is the id.
        always_classes: Names of the classes that are always pasted.
        random_half: Whether half of the present classes are drawn in addition.
        class_pool: The classes of which half are drawn: `'image'`, those of the image's own label,
            or `'batch'`, those of all labels of the batch, as in Refign's code.
        draw_ignore: Whether ignored pixels count as one more class that can be drawn and pasted, as
            in the published code; the pasted pixels stay ignored.
        companions: Pairs of class names: where one of the first is selected, those of the second
            that are present are selected too. In order, so that one rule can trigger the next.

    Raises:
        ConfigError: Unknown `class_pool`, or a name that is none of `class_names`.
    """

    def __init__(
        self,
        *,
        class_names: Sequence[str],
        always_classes: Sequence[str],
        random_half: bool = True,
        class_pool: Annotated[str, OneOf(('image', 'batch'))] = 'image',
        draw_ignore: bool = False,
        companions: Sequence[tuple[Sequence[str], Sequence[str]]] = (),
    ) -> None:
        super().__init__()
        self.num_classes = len(class_names)
        self.random_half = random_half
        self.class_pool = class_pool
        self.draw_ignore = draw_ignore

        def members(names: Sequence[str]) -> Tensor:
            # one more column for the ignored pixels, where they can be drawn
            return torch.nn.functional.pad(named_classes(names, class_names), (0, int(draw_ignore)))

        rules = [torch.stack([members(first), members(second)]) for first, second in companions]
        self.register_buffer('always', members(always_classes), persistent=False)
        self.register_buffer(
            'companions',
            torch.stack(rules) if rules else torch.zeros(0, 2, len(self.always), dtype=torch.bool),
            persistent=False,
        )

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
        mask = class_mask(source_label, self._select(source_label), self.draw_ignore)
        return Mixed(
            image=mix(mask, source_image, night_image),
            label=mix(mask, source_label, pseudo_label),
            weight=torch.where(mask[:, 0], torch.ones_like(pseudo_weight), pseudo_weight),
            mask=mask,
        )

    def _select(self, label: Tensor) -> Tensor:
        """Which classes are pasted: `(B, C)` bool, with `draw_ignore` `(B, C + 1)`."""
        present = present_classes(label, self.num_classes, self.draw_ignore)
        selected = present & self.always
        if self.random_half:
            pool = present
            if self.class_pool == 'batch':
                pool = present.any(dim=0, keepdim=True).expand_as(present)
            scores = torch.rand(present.shape).to(present.device, non_blocking=True)
            selected = selected | draw_half(pool, scores)
        return add_companions(selected, present, self.companions)
