"""Dense alignment: time and memory of an image pair, and of the local correlation alone."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.errors import ConfigError
from dsr_nss.matching.correlation import local_correlation
from dsr_nss.studies.benchmark.device import heading, machine
from dsr_nss.studies.benchmark.step import forget_weights
from dsr_nss.studies.benchmark.timing import Row, attempt, measure, peak_memory, span
from dsr_nss.visualization.text_table import text_table

RADIUS = 4


def report_align(
    config: Config, device: torch.device, *, size: tuple[int, int], warmup: int, repeats: int
) -> dict[str, Any]:
    """Times the config's aligner on one random image pair, and the correlation of such a pair.

    Args:
        config: Config with `model.refinement.aligner`, which gets random weights.
        device: Device to measure.
        size: (height, width) of the images.
        warmup, repeats: Same meaning as in `measure`.

    Returns:
        Machine, `size`, and name -> row with `peak_memory`.

    Raises:
        ConfigError: The config has no aligner.
    """
    settings = dict(warmup=warmup, repeats=repeats)
    rows = benchmark_align(config, device, size=size, **settings)
    rows |= benchmark_correlation(device, shape=(1, 128, size[0] // 4, size[1] // 4), **settings)
    return {**machine(device), 'size': list(size), **rows}


def format_align(report: Mapping[str, Any]) -> str:
    """The report as text."""
    rows = []
    for name, row in report.items():
        if isinstance(row, dict):
            peak = f'{row["peak_memory"] / 2**20:.0f}' if 'peak_memory' in row else ''
            rows.append([name, span(row), peak, f'{row.get("repeats", "")}'])
    height, width = report['size']
    headings = [f'image pair of {height}x{width}', 'time', 'MiB', 'repeats']
    return f'{heading(report)}\n{text_table(headings, rows)}'


def benchmark_align(
    config: Config, device: torch.device, *, size: tuple[int, int], warmup: int, repeats: int
) -> dict[str, Row]:
    """The row of the config's aligner; arguments and errors are those of `report_align`."""
    refinement = config.model.get('refinement') or {}
    if 'aligner' not in refinement:
        raise ConfigError(f'{config.filename} has no model.refinement.aligner to measure')
    settings = refinement['aligner'].to_dict()
    forget_weights(settings)
    aligner = MODELS.build(settings).to(device)
    night, day = torch.rand(2, 1, 3, *size, device=device)
    return _costs({settings['type']: lambda: aligner(night, day)}, device, warmup, repeats)


def benchmark_correlation(
    device: torch.device, *, shape: tuple[int, int, int, int], warmup: int, repeats: int
) -> dict[str, Row]:
    """The rows of the 9x9 local correlation and of naive forms of the same.

    Args:
        device: Device to measure.
        shape: `(B, C, H, W)` of the features.
        warmup, repeats: Same meaning as in `measure`.
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
) -> dict[str, Row]:
    """Times and memory; what there is not enough memory for takes no part in the turns."""

    def peak(function: Callable[[], Any]) -> Row:
        function()  # the libraries' workspaces are allocated once
        return {'peak_memory': peak_memory(function, device)}

    rows = {name: attempt(partial(peak, function), device) for name, function in work.items()}
    possible = [name for name, row in rows.items() if 'failed' not in row]
    timed = measure([work[name] for name in possible], device, warmup=warmup, repeats=repeats)
    for name, row in zip(possible, timed, strict=True):
        rows[name] = row | rows[name]
    return rows
