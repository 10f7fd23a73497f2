"""What the pipeline really feeds, as pictures."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmseg.registry import DATASETS

from dsr_nss.classes import IGNORE_INDEX
from dsr_nss.datasets.images import check_label_ids
from dsr_nss.evaluation.test_sets import select_datasets
from dsr_nss.files import make_folder
from dsr_nss.inference.pictures import write_picture
from dsr_nss.matching.image_pairs import PairDataset
from dsr_nss.visualization.colours import colourise, overlay
from dsr_nss.visualization.tiles import fit, legend, tile

TILE_SIDE = 512
TRAIN = 'train'


def browse(config: Config, split: str, number: int, out: str | Path) -> Iterator[Path]:
    """Write the first items of a set as pictures.

    Args:
        config: A training config.
        split: `'train'` for training items (crops, flips, pairs as in training), or the name of one
            of `config.test_sets`.
        number: Number of items.
        out: Folder of the pictures.

    Yields:
        The file of each picture once it is written.

    Raises:
        ConfigError: No such set.
        DataError, FileNotFoundError: The set cannot be read; the message says what to do.
    """
    folder = make_folder(out)
    if split == TRAIN:
        dataset = DATASETS.build(config.train_dataloader.dataset)
        items = (dataset[i] for i in range(number))
        draw = _pair_item if isinstance(dataset, PairDataset) else _training_item
    else:
        dataset = select_datasets(config, [split])[split]
        items = (dataset[i] for i in range(min(number, len(dataset))))
        draw = _test_item
    for i, item in enumerate(items):
        picture = draw(item, dataset.metainfo)
        path = folder / f'{split}_{i:04d}.png'
        yield write_picture(path, picture)


def class_shares(config: Config, number: int) -> dict[str, float]:
    """Share of each class in the source crops of the first training items, in percent.

    Args:
        config: A training config; one of dense matching has no labels, and no shares.
        number: Number of items.
    """
    dataset = DATASETS.build(config.train_dataloader.dataset)
    if isinstance(dataset, PairDataset):
        return {}
    counts = np.zeros(256, dtype=np.int64)
    for i in range(number):
        counts += np.bincount(dataset[i]['source_label'].numpy().ravel(), minlength=256)
    shares = 100 * counts / counts.sum()
    names = dataset.metainfo['classes']
    return {**dict(zip(names, shares, strict=False)), 'ignored': shares[IGNORE_INDEX]}


def _training_item(item: dict, meta: dict) -> np.ndarray:
    source, label = _pixels(item['source_image']), item['source_label'].numpy()
    row = [source, overlay(source, label, meta['palette'])]
    captions = ['source', 'source with its label']
    if 'night_image' in item:
        row.append(_pixels(item['night_image']))
        captions.append('night')
    if item.get('has_reference'):  # else its pixels are zeros
        row.append(_pixels(item['reference_image']))
        captions.append('day reference')
    return _with_legend([fit(picture, TILE_SIDE) for picture in row], captions, label, meta)


def _pair_item(item: dict, meta: dict) -> np.ndarray:
    row, captions = [_pixels(item['target'])], ['target']
    if item['has_reference']:
        row.append(_pixels(item['reference']))
        captions.append('reference')
    return tile([[fit(picture, TILE_SIDE) for picture in row]], captions)


def _test_item(item: dict, meta: dict) -> np.ndarray:
    image = _pixels(item['inputs'])[..., ::-1]  # test pipelines read BGR
    row, captions, label = [fit(image, TILE_SIDE)], ['image'], np.zeros((0,), np.uint8)
    if 'gt_sem_seg' in item['data_samples']:
        label = item['data_samples'].gt_sem_seg.data[0].numpy()
        ids = np.bincount(label.ravel().astype(np.int64), minlength=256)
        check_label_ids(ids, item['data_samples'].seg_map_path, len(meta['classes']))
        row.append(fit(colourise(label, meta['palette']), TILE_SIDE, labels=True))
        captions.append('label')
    return _with_legend(row, captions, label, meta)


def _pixels(image) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()


def _with_legend(row: list, captions: list[str], label: np.ndarray, meta: dict) -> np.ndarray:
    grid = tile([row], captions)
    present = [int(i) for i in np.unique(label) if i != IGNORE_INDEX]
    names = [meta['classes'][i] for i in present]
    colours = [meta['palette'][i] for i in present]
    return np.concatenate([grid, legend(names, colours, grid.shape[1])])
