"""Colour jitter as published, and blur, on the device.

The published jitter is that of kornia 0.5.8, which HRDA, Refign and the authors train with:
brightness is added, contrast scales from black, saturation scales S of HSV, hue turns it. That of
torchvision differs: brightness scales from black, contrast from the mean grey of the image,
saturation from the grey image. They differ most on dark images: added brightness moves the mean of
a night image by up to 0.2, scaled brightness by a fifth of the little that is there. Only what
`torchvision.transforms.v2.functional` lacks is here, with the same arguments.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def add_brightness(image: Tensor, factor: float) -> Tensor:
    """Add `factor - 1`: `(B, 3, H, W)` floating RGB in [0, 1] -> the same; `factor` >= 0."""
    return (image + (factor - 1)).clamp(0, 1)


def scale_saturation(image: Tensor, factor: float) -> Tensor:
    """Scale S of HSV, cut to 1; V stays.

    Args:
        image: `(B, 3, H, W)` floating RGB in [0, 1].
        factor: Factor >= 0.

    Returns:
        `(B, 3, H, W)` in [0, 1].
    """
    largest, depth, saturation = _value_depth_saturation(image)
    return largest * (1 - (saturation * factor).clamp(0, 1) * depth)


def turn_hue(image: Tensor, shift: float) -> Tensor:
    """Turn H of HSV.

    Args:
        image: `(B, 3, H, W)` floating RGB in [0, 1].
        shift: Share of a full circle, in [-0.5, 0.5].

    Returns:
        `(B, 3, H, W)` in [0, 1].
    """
    largest, _, saturation = _value_depth_saturation(image)
    _, depth, _ = _value_depth_saturation(adjust_hue(image, shift))
    return largest * (1 - saturation * depth)


def adjust_hue(image: Tensor, shift: float) -> Tensor:
    """As `turn_hue` of `(B, 3, H, W)`, of an exact HSV: torchvision's, in the image's precision."""
    largest, which = image.max(dim=1)
    chroma = largest - image.amin(dim=1)
    red, green, blue = image.unbind(dim=1)
    divisor = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    sextant = torch.where(
        which == 0,
        (green - blue) / divisor,
        torch.where(which == 1, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    hue = (sextant + 6 * shift) % 6
    # HSV -> RGB in closed form: V - C * max(0, min(k, 4 - k, 1)) with k = (n + h) % 6
    offset = torch.arange(5, 0, -2, dtype=image.dtype, device=image.device).view(1, 3, 1, 1)
    k = (offset + hue[:, None]) % 6
    return largest[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)


def _value_depth_saturation(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """V, the place of each channel between V (0) and V - chroma (1), and kornia's S."""
    largest, smallest = image.amax(dim=1, keepdim=True), image.amin(dim=1, keepdim=True)
    chroma = largest - smallest
    depth = (largest - image) / torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    return largest, depth, chroma / (largest + 1e-6)  # kornia's guard against black


def gaussian_kernel(sigma: Tensor, radius: int) -> Tensor:
    """Normalised Gaussian taps.

    Args:
        sigma: `(B,)` in pixels, > 0.
        radius: Taps reach from `-radius` to `radius`.

    Returns:
        `(B, 2 * radius + 1)`.
    """
    x = torch.arange(-radius, radius + 1, dtype=sigma.dtype, device=sigma.device)
    taps = torch.exp(-0.5 * (x[None] / sigma[:, None]) ** 2)
    return taps / taps.sum(dim=1, keepdim=True)


def gaussian_blur(image: Tensor, sigma: Tensor, radius: int = 5) -> Tensor:
    """Separable Gaussian blur with one sigma for each image, reflecting borders.

    A radius of 5 holds all but 2e-6 of a kernel with sigma <= 1.15.

    Args:
        image: `(B, C, H, W)`, H and W larger than `radius`.
        sigma: `(B,)` in pixels, > 0.
        radius: Reach of the kernel.
    """
    batch, channels, height, width = image.shape
    taps = gaussian_kernel(sigma.to(image), radius).repeat_interleave(channels, dim=0)
    x = F.pad(image, (radius, radius, radius, radius), mode='reflect')
    x = x.reshape(1, batch * channels, height + 2 * radius, width + 2 * radius)
    x = F.conv2d(x, taps[:, None, None, :], groups=batch * channels)
    x = F.conv2d(x, taps[:, None, :, None], groups=batch * channels)
    return x.view(batch, channels, height, width)
