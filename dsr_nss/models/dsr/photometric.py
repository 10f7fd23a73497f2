"""Colour jitter and blur of the mixed image."""

from collections.abc import Callable

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.functional.photometric import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    gaussian_blur,
)


@MODELS.register_module()
class PhotometricAugmentation(BaseModule):
    """Random colour jitter, then random Gaussian blur, each decided and drawn per image.

    The random numbers are drawn on the CPU, so the device is never waited for.

    Args:
        jitter_probability: Probability of the jitter.
        jitter_strength: Brightness, contrast and saturation factors are uniform in
            `1 -+ strength`, the hue turns by up to `strength` of the colour circle.
        blur_probability: Probability of the blur.
        blur_sigma: Range of the uniform sigma in pixels.
    """

    def __init__(
        self,
        *,
        jitter_probability: float = 0.8,
        jitter_strength: float = 0.2,
        blur_probability: float = 0.5,
        blur_sigma: tuple[float, float] = (0.15, 1.15),
    ) -> None:
        super().__init__()
        self.jitter_probability = jitter_probability
        self.jitter_strength = jitter_strength
        self.blur_probability = blur_probability
        self.blur_sigma = blur_sigma

    @torch.no_grad()
    def forward(
        self,
        image: Tensor,
        to_pixels: Callable[[Tensor], Tensor],
        to_normalised: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Augment.

        Args:
            image: `(B, 3, H, W)` normalised; not modified.
            to_pixels: Function from normalised values to RGB in [0, 1].
            to_normalised: Its inverse.
        """
        batch = len(image)
        jittered = torch.rand(batch) < self.jitter_probability
        factors = 1 + self.jitter_strength * (2 * torch.rand(4, batch) - 1)
        blurred = torch.rand(batch) < self.blur_probability
        low, high = self.blur_sigma
        sigma = low + (high - low) * torch.rand(batch)

        if jittered.any():
            brightness, contrast, saturation, hue = factors.to(image.device, non_blocking=True)
            pixels = adjust_brightness(to_pixels(image), brightness)
            pixels = adjust_contrast(pixels, contrast)
            pixels = adjust_saturation(pixels, saturation)
            pixels = adjust_hue(pixels, hue - 1)
            image = _where(jittered, to_normalised(pixels), image)
        if blurred.any():
            blurry = gaussian_blur(image, sigma.to(image.device, non_blocking=True))
            image = _where(blurred, blurry, image)
        return image


def _where(decision: Tensor, changed: Tensor, unchanged: Tensor) -> Tensor:
    decision = decision.to(changed.device, non_blocking=True).view(-1, 1, 1, 1)
    return torch.where(decision, changed, unchanged)
