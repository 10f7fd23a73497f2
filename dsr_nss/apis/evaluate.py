"""Evaluation of one model on several sets: scores, predictions as PNGs, one flat result."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.registry import DATASETS
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from dsr_nss.apis.files import make_folder
from dsr_nss.apis.inference import predict
from dsr_nss.apis.models import load_model, use_scope
from dsr_nss.datasets.base import find_files, first_of
from dsr_nss.datasets.class_statistics import one_thread_each
from dsr_nss.datasets.errors import DataError
from dsr_nss.datasets.images import read_image, read_label
from dsr_nss.engine.errors import ConfigError
from dsr_nss.evaluation.iou import IoUScores, flat_scores, iou_scores
from dsr_nss.evaluation.metric import sample_confusion
from dsr_nss.visualization.colours import colourise

#: Name of the set that `--images` and `--labels` make.
CUSTOM_SET = 'custom'
#: Folders below `<out>/<set>`.
LABEL_FOLDER, COLOUR_FOLDER = 'labelTrainIds', 'color'

_SUFFIXES = ('.png', '.jpg', '.jpeg')


@dataclass(frozen=True)
class SetResult:
    """What the evaluation of one set gave.

    Attributes:
        images: How many images there are.
        seconds: What predicting them took, with loading and writing.
        scores: None for a set without labels.
    """

    images: int
    seconds: float
    scores: IoUScores | None


def evaluate(
    config: Config,
    checkpoint: str | Path,
    *,
    names: Sequence[str] | None = None,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    which: str = 'student',
    out: str | Path | None = None,
    tta: bool = False,
    device: str | None = None,
    workers: int = 2,
    progress: bool = True,
) -> dict[str, Any]:
    """Loads a model once and evaluates it on one or several sets.

    Args:
        config: With the model and `test_sets`; see `read_model_config`.
        checkpoint: See `load_model`.
        names: Sets of `config.test_sets`; None: `config.default_test_sets`, or none when `images`
            is given.
        images: A folder of images that becomes the set `custom`.
        labels: Its labels (train id PNGs with the same stems); None predicts only.
        which: `'student'` or `'teacher'`.
        out: Where predictions go: `<out>/<set>/labelTrainIds/<stem>.png` and
            `<out>/<set>/color/<stem>.png`; None writes none.
        tta: Test-time augmentation; see `predict`.
        device: None: the GPU if there is one.
        workers: Processes that load images; 0 loads in this one.
        progress: Show a bar with the time left.

    Returns:
        A flat dict: `<set>/mIoU`, `<set>/mIoU_official`, `<set>/mIoU_<group>`,
        `<set>/IoU/<class>` in percent, unrounded, None where nothing of it occurs in the labels;
        `<set>/images`, `<set>/images_per_second`; `model`, `tta`, `checkpoint`.

    Raises:
        ConfigError, CheckpointError, DataError, FileNotFoundError: What is missing or wrong.
    """
    if labels is not None and images is None:
        raise ConfigError('labels were given without images: name the folder of images as well')
    chosen: dict[str, Dataset] = {}
    if names is not None or images is None:
        chosen = select_datasets(config, names)
    model = load_model(config, checkpoint, which, device or default_device())
    if images is not None:
        chosen[CUSTOM_SET] = folder_dataset(images, labels, model.dataset_meta)
    unlabelled = [name for name, dataset in chosen.items() if not has_labels(dataset)]
    if unlabelled and out is None:
        raise ConfigError(
            f'{", ".join(unlabelled)}: there are no labels to score with; say where the '
            'predictions go with --out'
        )
    flat: dict[str, Any] = {}
    for name, dataset in chosen.items():
        result = evaluate_dataset(
            model,
            dataset,
            name,
            out=None if out is None else Path(out) / name,
            tta=tta,
            workers=workers,
            progress=progress,
        )
        if result.scores is not None:
            flat |= {f'{name}/{key}': value for key, value in flat_scores(result.scores).items()}
        flat[f'{name}/images'] = result.images
        flat[f'{name}/images_per_second'] = result.images / result.seconds
    return {**flat, 'model': which, 'tta': tta, 'checkpoint': str(checkpoint)}


def evaluate_dataset(
    model: nn.Module,
    dataset: Dataset,
    name: str,
    *,
    out: Path | None = None,
    tta: bool = False,
    workers: int = 2,
    progress: bool = True,
) -> SetResult:
    """Predicts all images of an mmseg data set, scores them if it has labels, writes them if asked.

    Args:
        model: Of `load_model`.
        dataset: A built data set with a test pipeline.
        name: What to call it.
        out: Folder of its predictions.
        tta, workers, progress: See `evaluate`.

    Raises:
        ConfigError: The model has another number of classes than the set.
        DataError: An image or a label cannot be used; names the file.
    """
    classes = dataset.metainfo['classes']
    if len(classes) != model.num_classes:
        raise ConfigError(
            f'{name} has {len(classes)} classes, the model predicts {model.num_classes}'
        )
    labelled = has_labels(dataset)
    files = prediction_names(dataset)
    loader = DataLoader(
        _Checked(dataset),
        batch_size=1,  # images of one set may differ in size
        num_workers=min(workers, len(files)),
        collate_fn=pseudo_collate,
        worker_init_fn=_start_worker,
        pin_memory=next(model.parameters()).is_cuda,
    )
    confusion = torch.zeros(len(classes), len(classes), dtype=torch.int64)
    start = time.perf_counter()
    # without a terminal no bar: logs would fill with its lines
    bar = tqdm(loader, desc=name, unit='img', disable=None if progress else True)
    for file, data in zip(files, bar, strict=True):
        prediction, sample = predict(model, data, tta)
        if labelled:
            sample['pred_sem_seg'] = {'data': prediction}
            try:
                confusion += sample_confusion(sample, len(classes)).cpu()
            except ValueError as error:
                raise DataError(str(error)) from error
        if out is not None:
            write_prediction(prediction, file, out, dataset.metainfo['palette'])
    seconds = time.perf_counter() - start
    if not labelled:
        return SetResult(len(files), seconds, None)
    try:
        return SetResult(len(files), seconds, iou_scores(confusion, classes))
    except ValueError as error:
        raise DataError(f'{name}: {error}') from error


def write_prediction(
    prediction: Tensor, file: str, out: Path, palette: Sequence[Sequence[int]]
) -> None:
    """Writes `<out>/labelTrainIds/<file>.png` (class ids) and `<out>/color/<file>.png`."""
    ids = prediction.cpu().numpy()
    for folder, pixels in ((LABEL_FOLDER, ids), (COLOUR_FOLDER, colourise(ids, palette))):
        path = out / folder / f'{file}.png'
        make_folder(path.parent)
        Image.fromarray(pixels).save(path)


# ---- data sets ----------------------------------------------------------------------------------


def select_datasets(config: Config, names: Sequence[str] | None = None) -> dict[str, Dataset]:
    """Builds sets of `config.test_sets`.

    Args:
        config: With `test_sets`: name -> config of an mmseg data set.
        names: Which; None: `default_test_sets`, else the first.

    Raises:
        ConfigError: An unknown name; the message lists the known ones.
        FileNotFoundError, DataError: The data is not there or cannot be used.
    """
    use_scope(config)
    known = config.get('test_sets') or {}
    if not known:
        raise ConfigError('the config has no test_sets; score a folder with --images and --labels')
    if names is None:
        names = config.get('default_test_sets') or [next(iter(known))]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(
            f'unknown data set(s) {", ".join(unknown)}; the config has: {", ".join(known)}'
        )
    return {name: DATASETS.build({'test_mode': True, **known[name]}) for name in names}


def folder_dataset(
    images: str | Path, labels: str | Path | None, metainfo: Mapping[str, Any]
) -> Dataset:
    """A data set of a folder, with labels that pair by stem or without.

    Args:
        images: Folder of PNG or JPEG images.
        labels: Folder of label PNGs, or None.
        metainfo: `classes` and `palette` of the labels.

    Raises:
        FileNotFoundError: A folder does not exist or is empty, an image lacks its label.
        DataError: A label lacks its image, or two files have the same stem.
    """
    dataset = DATASETS.build(
        dict(
            type='FolderDataset',
            images=str(images),
            labels=None if labels is None else str(labels),
            metainfo=dict(metainfo),
            test_mode=True,
            pipeline=[
                dict(type='LoadImageFromFile'),
                *([] if labels is None else [dict(type='LoadAnnotations')]),
                dict(type='PackSegInputs'),
            ],
        )
    )
    if labels is not None:
        _check_all_used(dataset, Path(labels))
    return dataset


def has_labels(dataset: Dataset) -> bool:
    """Whether the images of a set have label files."""
    return all('seg_map_path' in dataset.get_data_info(i) for i in range(len(dataset)))


def prediction_names(dataset: Dataset) -> list[str]:
    """A name for the prediction of each image: its path below the common folder, without suffix.

    Raises:
        DataError: Two images would have the same name.
    """
    paths = [Path(dataset.get_data_info(i)['img_path']).absolute() for i in range(len(dataset))]
    root = getattr(dataset, 'image_folder', None)
    if root is None:
        root = os.path.commonpath([path.parent for path in paths])
    names: dict[str, Path] = {}
    for path in paths:
        name = path.relative_to(Path(root).absolute()).with_suffix('').as_posix()
        if name in names:
            raise DataError(f'{names[name]} and {path} have the same stem; rename one of them')
        names[name] = path
    return list(names)


def default_device() -> str:
    """The GPU if there is one."""
    return 'cuda' if torch.cuda.is_available() else 'cpu'


def _check_all_used(dataset: Dataset, folder: Path) -> None:
    """Labels without an image are as suspicious as images without a label."""
    used = {dataset.get_data_info(i)['seg_map_path'] for i in range(len(dataset))}
    unused = [path for path in find_files(folder, '.png') if str(path) not in used]
    if unused:
        raise DataError(
            f'{len(unused)} labels below {folder} have no image, the first: {first_of(unused)}. '
            'Image and label pair by path and stem'
        )


class _Checked(Dataset):
    """Items of an mmseg data set whose files this package's strict readers accept.

    mmcv's decoder fills the missing part of a truncated file with grey, scales 16 bits down and
    drops alpha without a word: such scores would be wrong.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        info = self.dataset.get_data_info(index)
        image, label = info['img_path'], info.get('seg_map_path')
        size = _size_of(read_image(image)) if _readable(image) else None
        label_size = _size_of(read_label(label)) if label and _readable(label) else None
        if size and label_size and size != label_size:
            raise DataError(
                f'{image} is {size} (height x width) but its label {label} is {label_size}; they '
                'must have the same size'
            )
        try:
            return self.dataset[index]
        except KeyError as error:
            if error.args != ('seg_map_path',):
                raise
            raise DataError(
                f'{image} has no label, but the pipeline of its set loads one: take '
                'LoadAnnotations out of it'
            ) from None


def _readable(path: str) -> bool:
    return path.lower().endswith(_SUFFIXES)


def _size_of(array: np.ndarray) -> str:
    return f'{array.shape[0]}x{array.shape[1]}'


def _start_worker(_: int) -> None:
    torch.set_num_threads(1)
    one_thread_each()
