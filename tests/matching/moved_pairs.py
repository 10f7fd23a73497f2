"""A tiny nightscape whose views differ by one known shift."""

from pathlib import Path

import numpy as np
from PIL import Image

#: (x, y) in pixels: night pixel (x, y) lies at (x + 2, y + 1) by day.
SHIFT = (2, 1)


def shifted(day: np.ndarray) -> np.ndarray:
    """The night view of a day map `(H, W, ...)`; what is not seen by day wraps around."""
    return np.roll(day, (-SHIFT[1], -SHIFT[0]), axis=(0, 1))


def write_pair(
    root: Path, number: int, night: np.ndarray, day: np.ndarray, label: np.ndarray
) -> None:
    """Writes a train pair `(H, W, 3)` with its truth; the left column is marked as occluded."""
    zurich, truth = root / 'dark_zurich', root / 'truth'
    name_night = f'train/night/GOPR0351/GOPR0351_frame_{number:06d}'
    name_day = f'train/day/GOPR0345/GOPR0345_frame_{number:06d}'
    files = {
        zurich / f'rgb_anon/{name_night}_rgb_anon.png': night,
        zurich / f'rgb_anon/{name_day}_rgb_anon.png': day,
        truth / f'labels/{name_night}_gt_labelTrainIds.png': label,
    }
    for path, array in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)
    with (zurich / 'pairs_train.txt').open('a') as file:
        file.write(f'{name_night} {name_day}\n')
    height, width = label.shape
    flow = np.empty((2, height, width), np.float32)
    flow[0], flow[1] = SHIFT
    occluded = np.zeros((height, width), bool)
    occluded[:, 0] = True
    path = truth / f'flow/GOPR0351_frame_{number:06d}.npz'
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, flow=flow, valid=np.ones_like(occluded), occluded=occluded)


def write_random_pairs(root: Path, number: int = 3, size: tuple[int, int] = (20, 28)) -> None:
    """Pairs of random pixels in which every night pixel is its day pixel."""
    rng = np.random.default_rng(0)
    for i in range(1, number + 1):
        day = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        write_pair(root, i, shifted(day), day, np.zeros(size, np.uint8))
