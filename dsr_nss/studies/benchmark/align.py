"""Dense alignment: time and memory of an image pair, and of the local correlation alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.errors import ConfigError
from dsr_nss.matching.correlation import local_correlation
from dsr_nss.studies.benchmark.step import forget_weights
from dsr_nss.studies.benchmark.timing import (
    OUT_OF_MEMORY,
    Timing,
    is_out_of_memory,
    measure,
    peak_memory,
    release_memory,
)

RADIUS = 4


@dataclass(frozen=True)
class Cost:
    """Time and memory of one thing.

    Attributes:
        timing: Measured times; None: the device's memory did not suffice.
        peak_memory: Peak memory in bytes, measured by `timing.peak_memory`.
    """

    timing: Timing | None
    peak_memory: int

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        if self.timing is None:
            return {'failed': OUT_OF_MEMORY}
        return self.timing.as_dict() | {'peak_memory': self.peak_memory}


def benchmark_align(
    config: Config, device: torch.device, *, size: tuple[int, int], warmup: int, repeats: int
) -> dict[str, Cost]:
    """Times the config's aligner on one random image pair, with random weights.

    Args:
        config: Config with `model.refinement.aligner`.
        device: Device to measure.
        size: (height, width) of the images.
        warmup: Pairs before the clock starts.
        repeats: Pairs that are timed.

    Raises:
        ConfigError: The config has no aligner.
    """
    refinement = config.model.get('refinement') or {}
    if 'aligner' not in refinement:
        raise ConfigError(f'{config.filename} has no model.refinement.aligner to measure')
    settings = refinement['aligner'].to_dict()
    forget_weights(settings)
    aligner = MODELS.build(settings).to(device)
    night, day = torch.rand(2, 1, 3, *size, device=device)
    return _costs({settings['type']: lambda: aligner(night, day)}, device, warmup, repeats)


def benchmark_correlation(
    device: torch.device,
    *,
    shape: tuple[int, int, int, int] = (1, 128, 256, 256),
    warmup: int = 1,
    repeats: int = 5,
) -> dict[str, Cost]:
    """Times the 9x9 local correlation against the naive forms of the same.

    Args:
        device: Device to measure.
        shape: `(B, C, H, W)` of the features; the default is what an image pair of 1024x1024 has at
            1/4.
        warmup: Calls before the clock starts.
        repeats: Calls that are timed.
    """
    target, reference = torch.rand(2, *shape, device=device)
    forms = {
        'local_correlation': local_correlation,
        'shifted products': shifted_products,
        'unfold': unfolded,
    }
    work = {name: lambda form=form: form(target, reference) for name, form in forms.items()}
    with torch.no_grad():
        return _costs(work, device, warmup, repeats)


def shifted_products(target: Tensor, reference: Tensor) -> Tensor:
    """Naive: one element-wise product a neighbour, `(B, C, h, w)` twice -> `(B, 81, h, w)`."""
    height, width = target.shape[2:]
    padded = F.pad(reference, [RADIUS] * 4)
    side = 2 * RADIUS + 1
    return torch.stack(
        [
            (target * padded[:, :, dy : dy + height, dx : dx + width]).sum(dim=1)
            for dy in range(side)
            for dx in range(side)
        ],
        dim=1,
    )


def unfolded(target: Tensor, reference: Tensor) -> Tensor:
    """Naive: all neighbours of all pixels at once, `(B, C, h, w)` twice -> `(B, 81, h, w)`."""
    side = 2 * RADIUS + 1
    around = F.unfold(reference, side, padding=RADIUS)
    around = around.unflatten(1, (target.shape[1], side**2)).unflatten(3, target.shape[2:])
    return torch.einsum('bchw,bcnhw->bnhw', target, around)


def _costs(
    work: Mapping[str, Callable[[], Any]], device: torch.device, warmup: int, repeats: int
) -> dict[str, Cost]:
    peaks = {name: _peak(function, device) for name, function in work.items()}
    possible = [name for name, peak in peaks.items() if peak is not None]
    timings = measure([work[name] for name in possible], device, warmup=warmup, repeats=repeats)
    timed = dict(zip(possible, timings, strict=True))
    return {name: Cost(timed.get(name), peak or 0) for name, peak in peaks.items()}


def _peak(function: Callable[[], Any], device: torch.device) -> int | None:
    """As `peak_memory`, of the second call; None: there is not enough."""
    try:
        function()  # the libraries' workspaces are allocated once
        return peak_memory(function, device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    release_memory(device)  # the error is gone, and with it the frames that held the tensors
    return None
