"""From the data loader's batch to normalised tensors on the device."""

from typing import Any

import torch
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.structures import AdaptationBatch
from dsr_nss.values import checked

#: ImageNet statistics of RGB in 0..255: what the encoders here were or would be pretrained with,
#: except for EfficientNet-Lite, whose configs state others.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


def to_pixels(image: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Undo the normalisation: `(B, 3, H, W)` normalised -> RGB in [0, 1]."""
    return ((image * std + mean) / 255).clamp(0, 1)


def from_pixels(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """`(B, 3, H, W)` RGB in [0, 1] -> normalised."""
    return (pixels * 255 - mean) / std


@MODELS.register_module()
@checked
class AdaptationPreprocessor(SegDataPreProcessor):
    """mmseg's preprocessor for testing; in training it makes an `AdaptationBatch`.

    Training images are RGB uint8 and are normalised on the device, so that bytes, not floats, cross
    the bus. Test images come from mmseg's pipeline in BGR, hence `bgr_to_rgb`.
    """

    def __init__(
        self, mean=IMAGENET_MEAN, std=IMAGENET_STD, bgr_to_rgb: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(mean=mean, std=std, bgr_to_rgb=bgr_to_rgb, **kwargs)

    def forward(self, data: dict, training: bool = False) -> Any:
        """Training: collated item dict -> `AdaptationBatch`; otherwise as mmseg's."""
        if 'source_image' not in data:
            return super().forward(data, training)
        night = data.get('night_image')
        # decided before the transfer, so that nothing waits for the device
        referenced = night is not None and bool(data['has_reference'].any())
        has_reference = None
        if night is not None:
            night, has_reference = self._move(night), self._move(data['has_reference'])
        reference = None
        if referenced and has_reference is not None:
            # The night image stands in for a missing reference: what looks at the whole batch, such
            # as batch statistics, sees no blank picture.
            # On the device: the loader pinned what is moved there, and a copy of it would not be.
            has, day = has_reference.view(-1, 1, 1, 1), self._move(data['reference_image'])
            reference = self._normalise(torch.where(has, day, night))
        return AdaptationBatch(
            source_image=self._normalise(data['source_image']),
            source_label=self._move(data['source_label']).long(),
            night_image=None if night is None else self._normalise(night),
            reference_image=reference,
            has_reference=has_reference,
        )

    def _move(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)

    def _normalise(self, image: Tensor) -> Tensor:
        # the type of the statistics, so that a step in double precision is one throughout
        dtype = torch.promote_types(self.mean.dtype, torch.float32)
        return (self._move(image).to(dtype) - self.mean) / self.std
