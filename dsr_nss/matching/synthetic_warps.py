"""Random warps for training a matching network: which kind, how strong."""

from collections.abc import Sequence
from typing import Annotated

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Generator, Tensor

from dsr_nss.matching.warp_fields import (
    CONTROL_SIDE,
    elastic_flow,
    homography_flow,
    similarity,
    soft_windows,
    thin_plate_flow,
)
from dsr_nss.values import Bounds, NotNegative, OneOf, Share, checked

KINDS = ('homography', 'thin_plate', 'affine_thin_plate')
#: Side of the grid of noise that an elastic deformation is blurred from. The narrowest blur is
#: three times as wide as the distance of its nodes.
NOISE_SIDE = 32
#: Ranges of an elastic deformation, in longer sides of the image: blur, and factor of the blurred
#: noise. The field has a standard deviation of `0.16 * amplitude / sigma` pixels: 0.9 to 3.3.
ELASTIC_SIGMA, ELASTIC_AMPLITUDE = (0.1, 0.18), (1.0, 2.0)
#: Range of the number of places that are deformed, and of their size, in shorter sides.
WINDOWS, WINDOW_SIGMA = (5, 13), (10 / 750, 40 / 750)


@MODELS.register_module()
@checked
class SyntheticWarps(BaseModule):
    """Draws one flow for each sample: a random kind of warp, plus local elastic deformations.

    All parameters are uniform in `-x..x` (scale: `1 - x..1 + x`). Lengths are in half images (the
    image spans -1..1). The defaults are the first stage of Refign's published training (its
    configuration for MegaDepth, 750x750); its second stage has `corner_shift=0.4`,
    `control_shift=0.4`, `affine_control_shift=0.26`, `elastic_probability=1`. The ranges of the
    elastic deformation are its code's. Two choices are ours: windows are measured on the shorter
    side, so that they fit into images that are not square, and images that are not square are
    turned without shearing them.

    The numbers are drawn on the CPU, so the device is never waited for, and a seed gives the same
    warps on every device.

    Args:
        kinds: Kinds of warp that are drawn with equal probability: some of `KINDS`.
        corner_shift: Homography: largest shift of each corner, below 0.5.
        control_shift: Thin-plate spline: largest shift of each of the 3x3 control points.
        affine_control_shift: Largest shift of each control point where a similarity follows the
            spline.
        rotation: Largest rotation of the similarity, in radians (pi / 12).
        scale: Largest deviation of the similarity's scale from 1, below 1.
        translation: Largest translation of the similarity.
        elastic_probability: Probability of local elastic deformations on top of the warp.

    Raises:
        ValueError: A field out of its range.
    """

    def __init__(
        self,
        *,
        kinds: Sequence[Annotated[str, OneOf(KINDS)]] = KINDS,
        corner_shift: Annotated[float, Bounds(0, below=0.5)] = 0.333,
        control_shift: float = 0.333,
        affine_control_shift: NotNegative = 0.08,
        rotation: NotNegative = 0.26,
        scale: Annotated[float, Bounds(0, below=1)] = 0.45,
        translation: NotNegative = 0.25,
        elastic_probability: Share = 0.0,
    ) -> None:
        super().__init__()
        if not kinds:
            raise ValueError(f'kinds must be some of {list(KINDS)}, got none')
        self.kinds = tuple(kinds)
        self.corner_shift = corner_shift
        self.control_shift = control_shift
        self.affine_control_shift = affine_control_shift
        self.rotation = rotation
        self.scale = scale
        self.translation = translation
        self.elastic_probability = elastic_probability

    @torch.no_grad()
    def forward(
        self,
        batch: int,
        size: tuple[int, int],
        device: torch.device | str = 'cpu',
        generator: Generator | None = None,
    ) -> Tensor:
        """Draw.

        Args:
            batch: `B`, the number of flows.
            size: `(H, W)` of the images in pixels.
            device: Device of the returned flows.
            generator: CPU generator of the random numbers; None for torch's global one.

        Returns:
            `(B, 2, H, W)` float32 in pixels, x first: where each pixel of the synthetic view lies
            in the image.
        """
        with torch.autocast(torch.device(device).type, enabled=False):
            offset = self._elastic(batch, size, device, generator)
            return self._global(batch, size, device, generator, offset)

    def _global(self, batch, size, device, generator, offset: Tensor | None) -> Tensor:
        """Both families for every sample, of which one is taken: choosing would be a wait."""
        points = CONTROL_SIDE**2
        kind = torch.randint(len(self.kinds), (batch,), generator=generator)
        similar = kind == _position('affine_thin_plate', self.kinds)
        corners = self.corner_shift * _uniform(generator, batch, 4, 2)
        reach = torch.where(similar, self.affine_control_shift, self.control_shift)
        shifts = reach.view(-1, 1, 1) * _uniform(generator, batch, points, 2)
        # the identity where there is no similarity
        angle, growth, x, y = torch.where(similar, _uniform(generator, 4, batch), 0)
        affine = similarity(
            self.rotation * angle,
            1 + self.scale * growth,
            self.translation * torch.stack((x, y), dim=1),
            size,
        )
        corners, shifts, affine, kind = (
            x.to(device, non_blocking=True) for x in (corners, shifts, affine, kind)
        )
        flow = thin_plate_flow(shifts, size, affine=affine, offset=offset)
        if 'homography' not in self.kinds:
            return flow
        chosen = (kind == _position('homography', self.kinds)).view(-1, 1, 1, 1)
        return torch.where(chosen, homography_flow(corners, size, offset), flow)

    def _elastic(self, batch, size, device, generator) -> Tensor | None:
        if self.elastic_probability == 0:
            return None
        count, longer, shorter = WINDOWS[1], max(size), min(size)
        drawn = torch.rand(batch, generator=generator) < self.elastic_probability
        sigma = longer * _between(ELASTIC_SIGMA, generator, batch)
        amplitude = longer * _between(ELASTIC_AMPLITUDE, generator, batch)
        number = torch.randint(WINDOWS[0], count + 1, (batch,), generator=generator)
        window_sigma = shorter * _between(WINDOW_SIGMA, generator, batch, count)
        # three sigma from the border: nothing moves there
        margin = 3 * window_sigma[..., None]
        room = torch.tensor([size[1] - 1.0, size[0] - 1.0]) - 2 * margin
        centres = margin + room * torch.rand(batch, count, 2, generator=generator)
        noise = _uniform(generator, batch, 2, NOISE_SIDE, NOISE_SIDE)
        used = (torch.arange(count) < number[:, None]) & drawn[:, None]
        noise, sigma, amplitude, centres, window_sigma, used = (
            x.to(device, non_blocking=True)
            for x in (noise, sigma, amplitude, centres, window_sigma, used)
        )
        windows = soft_windows(centres, window_sigma, used, size)
        return windows * elastic_flow(noise, sigma, amplitude, size)


def _uniform(generator: Generator | None, *shape: int) -> Tensor:
    """In -1..1."""
    return 2 * torch.rand(*shape, generator=generator) - 1


def _between(bounds: tuple[float, float], generator: Generator | None, *shape: int) -> Tensor:
    low, high = bounds
    return low + (high - low) * torch.rand(*shape, generator=generator)


def _position(kind: str, kinds: Sequence[str]) -> int:
    return kinds.index(kind) if kind in kinds else -1
