"""Tiny data sets in the published layouts, for the tests."""

from pathlib import Path

import cv2
import numpy as np
import torch

from dsr_nss.datasets.cityscapes import write_class_statistics

SIZE = (24, 32)


def write_image(path: Path, rng: np.random.Generator, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Writes a random RGB image and returns it."""
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])
    return image


def write_label(path: Path, label: np.ndarray) -> None:
    """Writes a label of class ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), label.astype(np.uint8))


def random_label(rng: np.random.Generator, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Random blocks of road, building, sky and car with a few ignore pixels."""
    blocks = rng.choice(
        [0, 2, 10, 13, 255], (size[0] // 4, size[1] // 4), p=[0.3, 0.3, 0.2, 0.1, 0.1]
    )
    return np.kron(blocks, np.ones((4, 4), int)).astype(np.uint8)


def make_cityscapes(root: Path, count: int = 4, statistics: bool = True) -> Path:
    """`count` train images, 2 val images; train ids and, on request, class statistics."""
    rng = np.random.default_rng(0)
    for split, number in (('train', count), ('val', 2)):
        for i in range(number):
            name = f'{split}/aachen/aachen_{i:06d}_000019'
            write_image(root / f'leftImg8bit/{name}_leftImg8bit.png', rng)
            write_label(root / f'gtFine/{name}_gtFine_labelTrainIds.png', random_label(rng))
    if statistics:
        write_class_statistics(root)
    return root


def make_dark_zurich(root: Path, count: int = 4, correspondences: bool = True) -> Path:
    """`count` train pairs, 2 val images with labels and references, 1 test image."""
    rng = np.random.default_rng(1)
    lines = []
    for i in range(count):
        night, day = (
            f'train/night/GOPR1/GOPR1_frame_{i:06d}',
            f'train/day/GOPR2/GOPR2_frame_{9 - i:06d}',
        )
        write_image(root / f'rgb_anon/{night}_rgb_anon.png', rng)
        write_image(root / f'rgb_anon/{day}_rgb_anon.png', rng)
        lines.append(f'{night},{day}\n')
    for split, number in (('val', 2), ('test', 1)):
        for i in range(number):
            frame = f'GOPR3_frame_{i:06d}'
            write_image(root / f'rgb_anon/{split}/night/GOPR3/{frame}_rgb_anon.png', rng)
            write_image(root / f'rgb_anon/{split}_ref/day/GOPR3_ref/{frame}_ref_rgb_anon.png', rng)
            if split == 'val':
                label = root / f'gt/val/night/GOPR3/{frame}_gt_labelTrainIds.png'
                write_label(label, random_label(rng))
    if correspondences:
        path = root / 'corresp/train/night/GOPR1_ref.csv'
        path.parent.mkdir(parents=True)
        path.write_text(''.join(lines))
    return root


def make_acdc(root: Path, count: int = 2) -> Path:
    """Night and fog, train/val with labels and test without, references for all."""
    rng = np.random.default_rng(2)
    for condition in ('night', 'fog'):
        for split in ('train', 'val', 'test'):
            for i in range(count):
                folder, frame = f'{condition}/{split}', f'GOPR4/GOPR4_frame_{i:06d}'
                write_image(root / f'rgb_anon/{folder}/{frame}_rgb_anon.png', rng)
                write_image(root / f'rgb_anon/{folder}_ref/{frame}_rgb_ref_anon.png', rng)
                if split != 'test':
                    label = root / f'gt/{folder}/{frame}_gt_labelTrainIds.png'
                    write_label(label, random_label(rng))
    return root


def make_nighttime_driving(root: Path, count: int = 2) -> Path:
    """The test split."""
    rng = np.random.default_rng(3)
    for i in range(count):
        name = f'test/night/test_{i}'
        write_image(root / f'leftImg8bit/{name}_leftImg8bit.png', rng)
        label = root / f'gtCoarse_daytime_trainvaltest/{name}_gtCoarse_labelTrainIds.png'
        write_label(label, random_label(rng))
    return root


def make_folder(root: Path, count: int = 3, labels: bool = True, references: bool = False) -> Path:
    """`images/a/*.jpg`, `labels/a/*.png` and `references/a/*.png`."""
    rng = np.random.default_rng(4)
    for i in range(count):
        write_image(root / f'images/a/{i}.jpg', rng)
        if labels:
            write_label(root / f'labels/a/{i}.png', random_label(rng))
        if references and i != 1:
            write_image(root / f'references/a/{i}.png', rng)
    return root


def same(a: dict, b: dict) -> None:
    """Asserts that two elements of a training set are equal."""
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert torch.equal(value, b[key]) if torch.is_tensor(value) else value == b[key], key
