"""How well an aligner finds the flow of image pairs that have a true one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import Tensor, nn
from tqdm import tqdm

from dsr_nss.datasets.images import read_image
from dsr_nss.datasets.pixels import Size, resize_image
from dsr_nss.engine.config import use_scope
from dsr_nss.errors import ConfigError, DataError
from dsr_nss.matching.measures import AlignmentScores
from dsr_nss.matching.truth import POINT_SETS, TruePair, Truth, true_pairs
from dsr_nss.models.initialise import initialise_quietly, loads_unasked
from dsr_nss.models.refine import Alignment
from dsr_nss.models.refine.aligners import WeightlessAligner

#: Aligners that need no weights file, by the name that the command line has for them.
BASELINES = {'identity': 'Identity', 'homography': 'Homography', 'xfeat': 'XFeat'}
#: The shorter side, in pixels, at which the published sets of points are evaluated.
SHORTER_SIDE = 480


@dataclass(frozen=True)
class Match:
    """An aligned pair, for pictures.

    Attributes:
        name: Name of the pair.
        target: `(H, W, 3)` uint8 RGB, as it was aligned.
        reference: `(H, W, 3)` uint8 RGB, resized to the size of the target.
        flow: `(2, H, W)` float32 in pixels, x first.
        confidence: `(H, W)` float32.
        points: `(N, 2)` true points of the target, x first.
        error: `(N,)` their end-point errors in pixels.
    """

    name: str
    target: np.ndarray
    reference: np.ndarray
    flow: np.ndarray
    confidence: np.ndarray
    points: np.ndarray
    error: np.ndarray


@dataclass
class AlignmentReport:
    """What an aligner is worth on a set.

    Attributes:
        scores: Region -> scores: 'all' counts all points with a true flow, 'visible' those of them
            that the reference shows, where that is known.
        aligned: Pairs for which the aligner found something.
        pairs: Pairs of the set that were measured.
    """

    scores: dict[str, AlignmentScores]
    aligned: int = 0
    pairs: int = 0

    def flat(self) -> dict[str, Any]:
        """Numbers and curves for a JSON file."""
        content: dict[str, Any] = {'pairs': self.pairs, 'aligned': self.aligned}
        for region, scores in self.scores.items():
            content |= scores.flat(region)
            curves = scores.sparsification
            if curves is not None:
                content[f'{region}/sparsification'] = curves.curve.tolist()
                content[f'{region}/oracle'] = curves.oracle.tolist()
        return content


def build_aligner(config: Config, checkpoint: str | Path | None, device: str = 'cpu') -> nn.Module:
    """The aligner of a config, ready to align.

    Args:
        config: A training of dense matching (`configs/align`), or an adaptation, of which
            `model.refinement.aligner` is taken.
        checkpoint: Weight file of the aligner; an adaptation's aligner may name its own.
        device: Device that the aligner is moved to.

    Raises:
        ConfigError: The config has no aligner, the matching network no checkpoint, or one is given
            to an aligner without weights.
        FileNotFoundError: A weights file is not there.
        CheckpointError: It does not fit.
    """
    use_scope(config)
    model = config.model
    if model.type == 'WarpConsistency':
        if checkpoint is None:
            raise ConfigError('name the checkpoint of the matching network (CKPT)')
        settings = dict(type='UAWarpC', pyramid=trained_pyramid(model.get('pyramid')))
    else:
        settings = dict((model.get('refinement') or {}).get('aligner') or {})
        if not settings:
            raise ConfigError(
                'the config has neither model.type=WarpConsistency nor model.refinement.aligner'
            )
    if checkpoint is not None:
        kind = MODELS.get(settings['type'])
        if isinstance(kind, type) and issubclass(kind, WeightlessAligner):
            raise ConfigError(f'the aligner {settings["type"]} has no weights: leave CKPT out')
        settings['init_cfg'] = dict(type='Pretrained', checkpoint=str(checkpoint))
    return _ready(settings, device)


def build_baseline(name: str, device: str = 'cpu') -> nn.Module:
    """An aligner that needs no weights file, a key of `BASELINES`."""
    return _ready(dict(type=BASELINES[name]), device)


def trained_pyramid(settings: dict | None) -> dict | None:
    """The features of a training of dense matching, for its checkpoint.

    The checkpoint has them in it, so the file or package that they started from may be gone.

    Args:
        settings: `model.pyramid` of the training's config.
    """
    settings = None if settings is None else dict(settings)
    start = (settings or {}).get('init_cfg') or {}
    if settings and not Path(start.get('checkpoint', '')).is_file():
        settings.pop('init_cfg', None)
    backbone = (settings or {}).get('backbone') or {}
    if settings and loads_unasked(backbone.get('type')):
        settings['backbone'] = {**backbone, 'pretrained': False}
    return settings


def _ready(settings: dict, device: str) -> nn.Module:
    aligner = MODELS.build(settings)
    initialise_quietly(aligner)
    return aligner.to(device).eval()


def measure_alignment(
    aligner: nn.Module,
    data: str,
    data_root: str | Path | None = None,
    *,
    limit: int | None = None,
    watch: Callable[[Match], None] | None = None,
    watched: int = 0,
    device: str = 'cpu',
) -> AlignmentReport:
    """Aligns all pairs of a set, one by one, and measures the flow where the true one is known.

    Nightscape and lists of flows are measured at the size of the files. The published sets of
    points are resized to a shorter side of 480 pixels, target and reference each with its own
    aspect ratio; there errors are measured, of the points inside of both. Networks match images of
    one size, so the reference is shown to them at the size of the target.

    Args:
        aligner: The aligner that `build_aligner` returns.
        data: `nightscape`, `megadepth`, `robotcar`, or the name of a CSV file.
        data_root: Root of the set; None: the default of `dsr_nss.matching.truth.true_pairs`.
        limit: Number of pairs to measure, counted from the first; None measures all.
        watch: Called with `watched` evenly spaced pairs, as soon as they are aligned.
        watched: Number of pairs for which `watch` is called.
        device: Device on which the aligner lies.

    Raises:
        FileNotFoundError: A file is missing.
        DataError: A file cannot be used.
    """
    pairs = true_pairs(data, data_root)[:limit]
    side = SHORTER_SIDE if data in POINT_SETS else None
    shown = set(np.linspace(0, len(pairs) - 1, min(watched, len(pairs))).round().astype(int))
    report = AlignmentReport({'all': AlignmentScores()})
    for i, pair in enumerate(tqdm(pairs, desc='aligning', leave=False, disable=None)):
        try:
            match, visible, aligned = _measure(aligner, pair, side, device)
            doubt = 1 - _at(match.confidence[None], match.points)[0]
            report.scores['all'].add(match.error, doubt)
            if visible is not None:
                scores = report.scores.setdefault('visible', AlignmentScores())
                scores.add(match.error[visible], doubt[visible])
        except ValueError as error:  # what the aligner cannot take or should not give
            if isinstance(error, DataError):
                raise
            raise DataError(f'{pair.target}, {pair.reference}: {error}') from error
        report.pairs += 1
        report.aligned += aligned
        if watch is not None and i in shown:
            watch(match)
    return report


@torch.no_grad()
def _measure(
    aligner: nn.Module, pair: TruePair, side: int | None, device: str
) -> tuple[Match, np.ndarray | None, bool]:
    files = [read_image(path) for path in (pair.target, pair.reference)]
    sizes = [_evaluated_size(image, side) for image in files]
    target, reference = (resize_image(image, sizes[0]) for image in files)
    alignment: Alignment = aligner(*(_pixels(image, device) for image in (target, reference)))
    flow = alignment.flow[0].float().cpu().numpy()

    truth = pair.read()
    if truth.size not in (None, files[0].shape[:2]):
        height, width = files[0].shape[:2]
        raise DataError(
            f'{pair.target} is {height}x{width} (height x width) but its true flow is '
            f'{truth.size[0]}x{truth.size[1]}'
        )
    if side is not None:
        truth = _inside(truth, files)
    points = rescaled(truth.points, files[0].shape, sizes[0])
    true_match = rescaled(truth.matches, files[1].shape, sizes[1])
    found = rescaled(points + _at(flow, points).T, sizes[0], sizes[1])
    error = np.linalg.norm(found - true_match, axis=1)
    confidence = alignment.confidence[0, 0].float().cpu().numpy()
    match = Match(pair.name, target, reference, flow, confidence, points, error)
    return match, truth.visible, bool(alignment.aligned[0])


def _inside(truth: Truth, files: Sequence[np.ndarray]) -> Truth:
    """Without the points that a list places outside of an image, as published."""
    ends = [np.array([image.shape[1], image.shape[0]]) - 1 for image in files]
    kept = np.ones(len(truth.points), bool)
    for places, end in zip((truth.points, truth.matches), ends, strict=True):
        kept &= ((places >= 0) & (places <= end)).all(1)
    return Truth(truth.points[kept], truth.matches[kept], None)


def _evaluated_size(image: np.ndarray, side: int | None) -> Size:
    height, width = image.shape[:2]
    if side is None:
        return height, width
    scale = side / min(height, width)
    return round(height * scale), round(width * scale)


def rescaled(points: np.ndarray, before: Sequence[int], after: Sequence[int]) -> np.ndarray:
    """Positions after resizing an image; the corners of the image, not pixel centres, are fixed.

    Args:
        points: `(N, 2)`, x first; 0 is the centre of the first pixel.
        before: (height, width, ...) of the image before resizing.
        after: (height, width, ...) of the image after resizing.
    """
    scale = np.array([after[1] / before[1], after[0] / before[0]])
    return (points + 0.5) * scale - 0.5


def _pixels(image: np.ndarray, device: str) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].to(device, torch.float32) / 255


def _at(maps: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Values of maps `(C, H, W)` at `(N, 2)` positions, bilinear: `(C, N)` float64."""
    limits = np.array([max(maps.shape[2] - 1, 1), max(maps.shape[1] - 1, 1)])
    grid = torch.from_numpy(2 * points / limits - 1)[None, None]
    values = F.grid_sample(
        torch.from_numpy(maps.astype(np.float64))[None],
        grid,
        mode='bilinear',
        padding_mode='border',
        align_corners=True,
    )
    return values[0, :, 0].numpy()
