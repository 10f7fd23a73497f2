"""Writes scenes in the folder layouts of the real sets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dsr_nss.classes import IGNORE_INDEX
from dsr_nss.nightscape.scenes import Pair, Size, render_pair, render_source
from dsr_nss.nightscape.view import flow_between

_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 3)
_CITIES = ('altdorf', 'brunnen', 'carouge', 'dietikon')
#: Flow is stored in steps of 1/64 pixel: exact enough, and it compresses well.
_FLOW_STEPS = 64


@dataclass(frozen=True)
class Job:
    """One scene to write.

    Attributes:
        split: Key of `scenes.SPLITS`.
        index: Number of the scene in its split.
        seed: Seed of the set.
        size: Height and width in pixels.
        root: Folder of the whole set.
    """

    split: str
    index: int
    seed: int
    size: Size
    root: str


def split_sizes(scenes: int) -> dict[str, int]:
    """Number of scenes in every split of a set with that many source scenes."""
    return {
        'cityscapes/train': scenes,
        'cityscapes/val': max(4, scenes // 6),
        'dark_zurich/train': max(6, scenes // 2),
        'dark_zurich/val': max(6, scenes // 4),
        'dark_zurich/test': max(2, scenes // 12),
        'acdc/train': max(4, scenes // 8),
        'acdc/val': max(4, scenes // 8),
        'acdc/test': max(2, scenes // 40),
        'nighttime_driving/test': max(4, scenes // 8),
    }


def write_scene(job: Job) -> str:
    """Render and write one scene; returns its split.

    Safe to call in any process and order: a scene depends on nothing but its job.
    """
    cv2.setNumThreads(0)
    writers: dict[str, Callable[[Job], None]] = {
        'cityscapes': _write_cityscapes,
        'dark_zurich': _write_dark_zurich,
        'acdc': _write_acdc,
        'nighttime_driving': _write_nighttime_driving,
    }
    writers[job.split.split('/')[0]](job)
    return job.split


def _save(path: Path, image: np.ndarray) -> None:
    """Write an image (H, W, 3) RGB or a label (H, W), uint8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = image[..., ::-1] if image.ndim == 3 else image
    if not cv2.imwrite(str(path), array, _PNG):
        raise OSError(f'could not write {path}')


def _pair(job: Job) -> Pair:
    return render_pair(job.seed, job.split, job.index, job.size)


def source_stem(split: str, index: int) -> str:
    """City and file stem of a source scene, as in `<city>/<city>_000000_000019`."""
    city = _CITIES[index % len(_CITIES)] if split.endswith('train') else 'zug'
    return f'{city}/{city}_{index:06d}_000019'


def _write_cityscapes(job: Job) -> None:
    view = render_source(job.seed, job.split, job.index, job.size)
    root, part = Path(job.root) / 'cityscapes', job.split.split('/')[1]
    stem = source_stem(job.split, job.index)
    _save(root / 'leftImg8bit' / part / f'{stem}_leftImg8bit.png', view.image)
    _save(root / 'gtFine' / part / f'{stem}_gtFine_labelTrainIds.png', view.label)


def train_keys(index: int) -> tuple[str, str]:
    """Published frame keys of the night and the day image of a Dark-Zurich-like train pair."""
    frame = index + 1
    return (
        f'train/night/GOPR0351/GOPR0351_frame_{frame:06d}',
        f'train/day/GOPR0345/GOPR0345_frame_{frame:06d}',
    )


def _write_dark_zurich(job: Job) -> None:
    pair, root = _pair(job), Path(job.root) / 'dark_zurich'
    part, frame = job.split.split('/')[1], job.index + 1
    if part == 'train':
        night, day = train_keys(job.index)
        _save(root / 'rgb_anon' / f'{night}_rgb_anon.png', pair.night.image)
        _save(root / 'rgb_anon' / f'{day}_rgb_anon.png', pair.day.image)
        _write_truth(Path(job.root) / 'truth', night, day, pair)
        return
    sequence = {'val': 'GOPR0356', 'test': 'GOPR0364'}[part]
    stem = f'{sequence}_frame_{frame:06d}'
    images = root / 'rgb_anon'
    _save(images / part / 'night' / sequence / f'{stem}_rgb_anon.png', pair.night.image)
    reference = images / f'{part}_ref' / 'day' / f'{sequence}_ref'
    _save(reference / f'{stem}_ref_rgb_anon.png', pair.day.image)
    if part == 'val':
        labels = root / 'gt' / part / 'night' / sequence
        _save(labels / f'{stem}_gt_labelTrainIds.png', pair.night.label)


def _write_truth(root: Path, night: str, day: str, pair: Pair) -> None:
    _save(root / 'labels' / f'{night}_gt_labelTrainIds.png', pair.night.label)
    _save(root / 'labels' / f'{day}_gt_labelTrainIds.png', pair.day.label)
    flow, valid, occluded = flow_between(pair.night, pair.day)
    path = root / 'flow' / f'{Path(night).name}.npz'
    path.parent.mkdir(parents=True, exist_ok=True)
    steps = np.round(flow * np.float32(_FLOW_STEPS)) / np.float32(_FLOW_STEPS)
    np.savez_compressed(path, flow=steps, valid=valid, occluded=occluded)


def _write_acdc(job: Job) -> None:
    pair, root = _pair(job), Path(job.root) / 'acdc'
    part = job.split.split('/')[1]
    sequence = {'train': 'GOPR0376', 'val': 'GP010376', 'test': 'GP020376'}[part]
    stem = f'{sequence}/{sequence}_frame_{job.index + 1:06d}'
    images = root / 'rgb_anon/night'
    _save(images / part / f'{stem}_rgb_anon.png', pair.night.image)
    _save(images / f'{part}_ref' / f'{stem}_rgb_ref_anon.png', pair.day.image)
    if part != 'test':
        _save(root / 'gt/night' / part / f'{stem}_gt_labelTrainIds.png', pair.night.label)


def _write_nighttime_driving(job: Job) -> None:
    view, root = _pair(job).night, Path(job.root) / 'nighttime_driving'
    stem = f'test/night/frame_{job.index + 1:06d}'
    _save(root / 'leftImg8bit' / f'{stem}_leftImg8bit.png', view.image)
    labels = root / 'gtCoarse_daytime_trainvaltest'
    _save(labels / f'{stem}_gtCoarse_labelTrainIds.png', coarse_label(view.label))


def coarse_label(label: np.ndarray) -> np.ndarray:
    """Like a quick annotation: 255 along the borders of all regions, (H, W) uint8."""
    size = 2 * max(1, round(label.shape[0] / 170)) + 1
    kernel = np.ones((size, size), np.uint8)
    border = cv2.dilate(label, kernel) != cv2.erode(label, kernel)
    return np.where(border, IGNORE_INDEX, label).astype(np.uint8)


def write_correspondences(root: Path, pairs: int) -> Path:
    """Write the day image of every Dark-Zurich-like train night image, in the published form."""
    path = root / 'dark_zurich/corresp/train/night/GOPR0351/GOPR0351_corr.csv'
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [','.join(train_keys(index)) + '\n' for index in range(pairs)]
    path.write_text(''.join(lines))
    return path
