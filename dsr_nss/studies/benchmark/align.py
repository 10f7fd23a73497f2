"""Dense alignment: time and memory of an image pair, and of the local correlation alone."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import Tensor

from dsr_nss.engine.smoke import forget_weights
from dsr_nss.errors import ConfigError
from dsr_nss.matching.correlation import local_correlation
from dsr_nss.matching.match_aligner import MatchAligner
from dsr_nss.studies.benchmark.step import load_matcher
from dsr_nss.studies.benchmark.timing import COSTS, Report, Row, Turns, attempt, peak_memory

RADIUS = 4
SIDE = 2 * RADIUS + 1


def benchmark_align(config: Config, turns: Turns, *, size: tuple[int, int]) -> Report:
    """Times the config's aligner on one random image pair, and the correlation of such a pair.

    The aligner, `model.refinement.aligner`, has random weights, unless it matches points (see
    `load_matcher`); without one it is a ConfigError.
    """
    refinement = config.model.get('refinement') or {}
    if 'aligner' not in refinement:
        raise ConfigError(f'{config.filename} has no model.refinement.aligner to measure')
    settings = refinement['aligner'].to_dict()
    forget_weights(settings, keep=(MatchAligner,))
    aligner = MODELS.build(settings)
    load_matcher(aligner)
    aligner.to(turns.device)
    pair = torch.rand(2, 1, 3, *size, device=turns.device)
    rows = costs({settings['type']: partial(aligner, *pair)}, turns)
    rows |= benchmark_correlation(turns, (1, 128, size[0] // 4, size[1] // 4))
    report = Report(turns.device, size=list(size), **rows)
    report.table(f'image pair of {size[0]}x{size[1]}', COSTS, rows)
    return report


@torch.no_grad()
def benchmark_correlation(turns: Turns, shape: tuple[int, int, int, int]) -> dict[str, Row]:
    """The 9x9 local correlation of features `(B, C, H, W)`, beside naive forms of the same."""
    features = torch.rand(2, *shape, device=turns.device)
    forms: dict[str, Callable] = {'local_correlation': local_correlation}
    forms |= {'shifted products': shifted_products, 'unfold': unfolded}
    return costs({name: partial(form, *features) for name, form in forms.items()}, turns)


def shifted_products(target: Tensor, reference: Tensor) -> Tensor:
    """Naive: one element-wise product a neighbour, `(B, C, h, w)` twice -> `(B, 81, h, w)`."""
    windows = F.pad(reference, [RADIUS] * 4).unfold(2, target.shape[2], 1)
    windows = windows.unfold(3, target.shape[3], 1)  # views: a window for each neighbour
    places = [(y, x) for y in range(SIDE) for x in range(SIDE)]
    return torch.stack([(target * windows[:, :, y, x]).sum(dim=1) for y, x in places], dim=1)


def unfolded(target: Tensor, reference: Tensor) -> Tensor:
    """Naive: all neighbours of all pixels at once, `(B, C, h, w)` twice -> `(B, 81, h, w)`."""
    around = F.unfold(reference, SIDE, padding=RADIUS)
    around = around.unflatten(1, (target.shape[1], SIDE**2)).unflatten(3, target.shape[2:])
    return torch.einsum('bchw,bcnhw->bnhw', target, around)


def costs(work: Mapping[str, Callable[[], Any]], turns: Turns) -> dict[str, Row]:
    """Times and memory; what there is not enough memory for takes no part in the turns."""

    def peak(function: Callable[[], Any]) -> Row:
        function()  # the libraries' workspaces are allocated once
        return {'peak_memory': peak_memory(function, turns.device)}

    rows = {name: attempt(partial(peak, function), turns.device) for name, function in work.items()}
    times = turns.measure({name: work[name] for name, row in rows.items() if 'failed' not in row})
    return {name: times.get(name, {}) | row for name, row in rows.items()}
