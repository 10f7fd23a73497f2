"""From the loader's batch of image pairs to pixels on the device."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from mmengine.model import BaseDataPreprocessor
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.values import checked


class ImagePairs(NamedTuple):
    """A training batch of a matching network.

    Attributes:
        target: `(B, 3, H, W)` float32 RGB in [0, 1].
        reference: `(P, 3, H, W)` float32 RGB in [0, 1]: of the samples that have one.
        paired: `(P,)` int64: which samples of `target` these are.
    """

    target: Tensor
    reference: Tensor
    paired: Tensor


@MODELS.register_module()
@checked
class ImagePairPreprocessor(BaseDataPreprocessor):
    """Collated items of an image pair set -> :class:`ImagePairs`.

    Bytes, not floats, cross the bus, and of references only those that exist. Pyramids normalise
    images themselves; `mean` and `std` say so to whoever draws them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__(non_blocking=True)
        self.register_buffer('mean', torch.zeros(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.full((3, 1, 1), 255.0), persistent=False)

    def forward(self, data: Mapping[str, Any], training: bool = False) -> ImagePairs:
        """Select, move, scale.

        Args:
            data: `target` and `reference` uint8 `(B, 3, H, W)` RGB, `has_reference` bool `(B,)`;
                other entries (`files`) are for messages.
            training: Without effect.

        Raises:
            ValueError: Target and reference differ in size.
        """
        target, reference = data['target'], data['reference']
        if target.shape != reference.shape:
            raise ValueError(
                'targets and references must have one size, got '
                f'{tuple(target.shape)} and {tuple(reference.shape)}'
            )
        # on the CPU, before the transfer: so that nothing waits for the device
        paired = data['has_reference'].cpu().nonzero()[:, 0]
        return ImagePairs(
            target=self._pixels(target),
            reference=self._pixels(reference[paired.to(reference.device)]),
            paired=paired.to(self.device, non_blocking=True),
        )

    def _pixels(self, image: Tensor) -> Tensor:
        return image.to(self.device, non_blocking=True).to(torch.float32) / 255
