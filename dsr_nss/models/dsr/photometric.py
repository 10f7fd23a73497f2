"""Colour jitter and blur of the mixed image."""

import math
from collections.abc import Callable
from typing import Annotated, NamedTuple

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor
from torchvision.transforms.v2 import functional as vision

from dsr_nss.functional import photometric
from dsr_nss.values import OneOf, Positive, Share, checked

#: Brightness, contrast, saturation and hue of each definition; see `functional.photometric`.
#: Scaling from black is torchvision's brightness and kornia's contrast.
JITTER: dict[str, tuple[Callable[[Tensor, float], Tensor], ...]] = {
    'kornia': (
        photometric.add_brightness,
        vision.adjust_brightness,
        photometric.scale_saturation,
        photometric.turn_hue,
    ),
    'torchvision': (
        vision.adjust_brightness,
        vision.adjust_contrast,
        vision.adjust_saturation,
        vision.adjust_hue,
    ),
}


class Draws(NamedTuple):
    """Random numbers of one call of the augmentation, on the CPU.

    Attributes:
        jittered: `(B,)` bool, whether the colours change.
        factors: `(B, 4)` float32: brightness, contrast and saturation around 1, the turn of the hue
            in full circles around 0.
        orders: `(B, 4)` int64, the order of the four; torchvision's definition has its own.
        blurred: `(B,)` bool.
        sigma: `(B,)` float32, of the blur in pixels.
    """

    jittered: Tensor
    factors: Tensor
    orders: Tensor
    blurred: Tensor
    sigma: Tensor


@MODELS.register_module()
@checked
class PhotometricAugmentation(BaseModule):
    """Random colour jitter, then random Gaussian blur; their strengths are drawn per image.

    The random numbers are drawn on the CPU, so the device is never waited for.

    Args:
        jitter_probability: Probability of the jitter.
        jitter_strength: Brightness, contrast and saturation factors are uniform in
            `1 -+ strength`, the hue turns by up to `strength` of the colour circle.
        blur_probability: Probability of the blur.
        blur_sigma: Range of the uniform sigma in pixels.
        definition: What the factors do: `'kornia'`, as the published code, in an order that is
            drawn per image; or `'torchvision'`, in the order above.
        decide: Whether each of the two happens: `'image'`, decided for each image; or `'batch'`,
            one decision for all, as in the published code.

    Raises:
        ConfigError: Unknown `definition` or `decide`, or a number out of its range; torchvision's
            hue turns by half of the circle at most.
    """

    def __init__(
        self,
        *,
        jitter_probability: Share = 0.8,
        jitter_strength: Share = 0.2,
        blur_probability: Share = 0.5,
        blur_sigma: tuple[Positive, Positive] = (0.15, 1.15),
        definition: Annotated[str, OneOf(tuple(JITTER))] = 'kornia',
        decide: Annotated[str, OneOf(('image', 'batch'))] = 'image',
    ) -> None:
        super().__init__()
        if definition == 'torchvision' and jitter_strength > 0.5:
            raise ValueError(
                f"jitter_strength is {jitter_strength}, but the hue of definition='torchvision' "
                'turns by 0.5 at most'
            )
        self.jitter_probability = jitter_probability
        self.jitter_strength = jitter_strength
        self.blur_probability = blur_probability
        self.blur_sigma = blur_sigma
        #: 5 pixels for the published sigma; the same share of a wider kernel.
        self.blur_radius = max(5, math.ceil(max(blur_sigma) * 5 / 1.15))
        self.definition = definition
        self.decide = decide

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
        draws = self.draw(len(image))
        if draws.jittered.any():
            jittered = to_normalised(self._jitter(to_pixels(image), draws))
            image = _where(draws.jittered, jittered, image)
        if draws.blurred.any():
            sigma = draws.sigma.to(image.device, non_blocking=True)
            blurred = photometric.gaussian_blur(image, sigma, self.blur_radius)
            image = _where(draws.blurred, blurred, image)
        return image

    def draw(self, batch: int) -> 'Draws':
        """The random numbers of one call."""
        low, high = self.blur_sigma
        factors = 1 + self.jitter_strength * (2 * torch.rand(batch, 4) - 1)
        factors[:, 3] -= 1  # the hue turns, to both sides of where it is
        return Draws(
            jittered=self._decisions(batch, self.jitter_probability),
            factors=factors,
            orders=torch.rand(batch, 4).argsort(dim=1),
            blurred=self._decisions(batch, self.blur_probability),
            sigma=low + (high - low) * torch.rand(batch),
        )

    def _decisions(self, batch: int, probability: float) -> Tensor:
        """`(B,)` bool."""
        draws = torch.rand(batch if self.decide == 'image' else 1)
        return (draws < probability).expand(batch)

    def _jitter(self, pixels: Tensor, draws: 'Draws') -> Tensor:
        """Jitter every image of `(B, 3, H, W)` RGB in [0, 1]."""
        operations = JITTER[self.definition]
        images = list(pixels.split(1))
        factors, orders = draws.factors.tolist(), draws.orders.tolist()
        for i in range(len(images)):
            for which in range(4) if self.definition == 'torchvision' else orders[i]:
                images[i] = operations[which](images[i], factors[i][which])
        return torch.cat(images)


def _where(decision: Tensor, changed: Tensor, unchanged: Tensor) -> Tensor:
    decision = decision.to(changed.device, non_blocking=True).view(-1, 1, 1, 1)
    return torch.where(decision, changed, unchanged)
