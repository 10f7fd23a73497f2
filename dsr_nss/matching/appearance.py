"""What changes between two photographs of a place beside the geometry: colours and sharpness."""

import math

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor
from torchvision.transforms.v2 import functional as vision

from dsr_nss.functional.photometric import gaussian_blur
from dsr_nss.values import Positive, Share, checked

#: Reach of the blur in pixels, as published (a kernel of 7) for deviations of at most 2.
BLUR_RADIUS = 3


@MODELS.register_module()
@checked
class AppearanceChange(BaseModule):
    """Colour jitter, a random order of the channels, and blur, all drawn an image.

    The defaults are those of Refign's published training of UAWarpC. Brightness, contrast and
    saturation are changed in this order (published: in a random one). The numbers are drawn on the
    CPU, so the device is never waited for.

    Args:
        jitter: Brightness, contrast and saturation factors are uniform in `1 -+ jitter`.
        shuffle_channels: Put red, green and blue into a random order.
        blur_probability: Probability of the blur.
        blur_sigma: Range of its uniform sigma in pixels.
    """

    def __init__(
        self,
        *,
        jitter: Share = 0.6,
        shuffle_channels: bool = True,
        blur_probability: Share = 0.2,
        blur_sigma: tuple[Positive, Positive] = (0.2, 2.0),
    ) -> None:
        super().__init__()
        self.jitter = jitter
        self.shuffle_channels = shuffle_channels
        self.blur_probability = blur_probability
        self.blur_sigma = blur_sigma

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """`(B, 3, H, W)` RGB in [0, 1] -> the same; the input is not modified."""
        batch = len(image)
        factors = 1 + self.jitter * (2 * torch.rand(3, batch) - 1)
        order = torch.rand(batch, 3).argsort(dim=1)
        blurred = torch.rand(batch) < self.blur_probability
        low, high = self.blur_sigma
        sigma = low + (high - low) * torch.rand(batch)

        image = torch.cat([_jitter(*both) for both in zip(image.split(1), factors.T, strict=True)])
        if self.shuffle_channels:
            order = order.to(image.device, non_blocking=True)[:, :, None, None]
            image = image.gather(1, order.expand_as(image))
        if blurred.any():
            decision = blurred.to(image.device, non_blocking=True).view(-1, 1, 1, 1)
            radius = max(BLUR_RADIUS, math.ceil(1.5 * high))
            blurry = gaussian_blur(image, sigma.to(image.device, non_blocking=True), radius)
            image = torch.where(decision, blurry, image)
        return image


def _jitter(image: Tensor, factors: Tensor) -> Tensor:
    """Changes the colours of `(1, 3, H, W)` by its `(3,)` factors."""
    brightness, contrast, saturation = factors.tolist()
    image = vision.adjust_brightness(image, brightness)
    return vision.adjust_saturation(vision.adjust_contrast(image, contrast), saturation)
