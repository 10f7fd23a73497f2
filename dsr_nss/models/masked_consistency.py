"""Masked consistency: the student labels what it cannot see, the teacher what it can (MIC)."""

import logging
from collections.abc import Callable
from typing import Annotated

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from dsr_nss.errors import ConfigError
from dsr_nss.functional.random_mask import block_grid, block_mask, kept_cells
from dsr_nss.models.backbones import TimmViT
from dsr_nss.models.segmentors.hrda import HRDAEncoderDecoder
from dsr_nss.values import Count, NotNegative, OneOf, Share, checked

#: Which images are masked; see `MaskedConsistency`.
VARIANTS = ('target', 'target_aug', 'half')
UNITS = ('block', 'token')


@MODELS.register_module()
@checked
class MaskedConsistency(BaseModule):
    """Cross-entropy of the student on masked images, against the labels of the whole images.

    Source: Hoyer et al., "MIC: Masked Image Consistency for Context-Enhanced Domain Adaptation",
    2023.

    Args:
        student: The segmentor; token masks need one on a `TimmViT`.
        augmentation: The colour augmentation of the step; `'target_aug'` needs one.
        ratio: Share of the image that is hidden.
        block: Side of a hidden block in pixels of the crop; MIC has 64 in crops of 1024, 32 in
            crops of 512. Not used with `unit='token'`.
        variant: `'target'`: the night images. `'target_aug'`: the same after the step's colour
            augmentation. `'half'`: half of the batch, rounded up, of the source images with their
            labels, and as many night images; what MIC uses on Dark Zurich and ACDC.
        unit: `'block'`: pixels of a block get the mean colour. `'token'`: patches are replaced
            by the mask token of the encoder before its first block, as VFM-UDA does.
        weight: Factor of the loss.

    Raises:
        ConfigError: A value outside of its range, a student that has no tokens, or no augmentation.
    """

    def __init__(
        self,
        *,
        student: nn.Module,
        augmentation: nn.Module | None = None,
        ratio: Share = 0.7,
        block: Count = 64,
        variant: Annotated[str, OneOf(VARIANTS)] = 'target',
        unit: Annotated[str, OneOf(UNITS)] = 'block',
        weight: NotNegative = 1.0,
    ) -> None:
        super().__init__()
        whole = not isinstance(student, HRDAEncoderDecoder)
        if unit == 'token' and not (whole and isinstance(student.backbone, TimmViT)):
            raise ConfigError(
                "masking: unit='token' hides patches of a TimmViT that sees the whole image; the "
                f'student is a {type(student).__name__} on {type(student.backbone).__name__}: '
                "unit='block'"
            )
        if variant == 'target_aug' and augmentation is None:
            raise ConfigError("masking: variant='target_aug' needs model.augmentation; it is None")
        self.ratio = ratio
        self.block = block
        self.variant = variant
        self.unit = unit
        self.weight = weight

    def check_start(self, student: nn.Module) -> None:
        """Warns of a mask token that was not loaded: hidden patches are zeros then.

        Args:
            student: The segmentor with its start weights.
        """
        if self.unit == 'token' and not student.backbone.mask_token.any():
            print_log(
                "masking: unit='token' replaces hidden patches by the mask token of the encoder, "
                "which is all zero and is not trained: timm's files, pretrained='hub' and random "
                'weights have none. Start from a file of torch.hub or transformers, which has it, '
                "or mask with unit='block' (docs/vfm.md)",
                'current',
                logging.WARNING,
            )

    def forward(
        self,
        student: nn.Module,
        source: tuple[Tensor, Tensor],
        night: tuple[Tensor, Tensor],
        night_weight: Tensor,
        augment: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """The weighted loss, 0-dimensional.

        Args:
            student: The segmentor that is trained.
            source: Normalised source images `(B, 3, H, W)` and their labels `(B, H, W)` int64.
            night: Night images and the teacher's labels, in the shapes of `source`.
            night_weight: `q`, the weight of all night pixels, 0-dimensional.
            augment: The step's colour augmentation, for `variant='target_aug'`.
        """
        image, label = night
        pixel_weight = night_weight.expand(label.shape)
        if self.variant == 'target_aug':
            image = augment(image)
        elif self.variant == 'half':
            part = (len(image) + 1) // 2
            image = torch.cat([source[0][:part], image[:part]])
            label = torch.cat([source[1][:part], label[:part]])
            ones = torch.ones_like(pixel_weight[:part])
            pixel_weight = torch.cat([ones, pixel_weight[:part]])
        output = student.forward_train(*self.masked(student, image))
        return self.weight * student.segmentation_loss(output, label, pixel_weight)

    def masked(self, student: nn.Module, image: Tensor) -> tuple[Tensor, ...]:
        """What the student gets for `(B, 3, H, W)`: the image in part, or the image and a mask.

        The random numbers are drawn on the CPU, so the device is never waited for.
        """
        size = (image.shape[2], image.shape[3])
        if self.unit == 'token':
            noise = self._noise(len(image), student.backbone.patch_grid(size), image)
            return image, ~kept_cells(noise, self.ratio)[:, 0]
        noise = self._noise(len(image), block_grid(size, self.block), image)
        return (image * block_mask(noise, size, self.ratio),)

    def _noise(self, batch: int, grid: tuple[int, int], like: Tensor) -> Tensor:
        return torch.rand(batch, 1, *grid).to(like, non_blocking=True)
