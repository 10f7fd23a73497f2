"""Scores of predictions that exist as PNG files: no model, no config."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dsr_nss.classes import CLASSES
from dsr_nss.datasets.base import find_files, first_of
from dsr_nss.datasets.images import read_label
from dsr_nss.engine.class_block import class_block
from dsr_nss.engine.config import open_config
from dsr_nss.errors import ConfigError, DataError
from dsr_nss.evaluation.bootstrap import paired_bootstrap
from dsr_nss.evaluation.iou import confusion_matrix, flat_scores, iou_scores
from dsr_nss.pool import map_files, usable_cores
from dsr_nss.shipped import ENDINGS, PREFIX

#: What the published sets and programs append to the name of a frame, also one after the other
#: (`_rgb_anon_labelTrainIds`). The longer ones stand before their endings.
SUFFIXES = (
    '_gtCoarse_labelTrainIds', '_gtFine_labelTrainIds', '_gt_labelTrainIds', '_labelTrainIds',
    '_leftImg8bit', '_rgb_anon', '_train_id',
)  # fmt: skip
_TRAIN_IDS = '_labelTrainIds.png'
#: How many unpaired files a message names.
_NAMED = 20

Pair = tuple[Path, Path]


def score(
    predictions: str | Path,
    labels: str | Path,
    *,
    classes: Sequence[str] = CLASSES,
    groups: Mapping[str, Sequence[str]] | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> dict[str, float | None]:
    """Scores a folder of predictions.

    Args:
        predictions: Folder of PNGs of train ids, at any depth. 255 means that nothing is predicted,
            which counts as missed where there is a label.
        labels: Folder of label PNGs of train ids (255 = ignore), at any depth; see `pair_files`.
        classes: All class names; the position is the id.
        groups: Their groups; None: those that follow from the names.
        workers: Number of processes; None: one for each core.
        progress: Show a bar with the time left, if there is a terminal.

    Returns:
        `mIoU`, `mIoU_official`, `mIoU_<group>`, `IoU/<class>` in percent, unrounded, None where
        nothing of it occurs in the labels; `images`; `no_prediction`, the share of the labelled
        pixels for which nothing is predicted, in percent.

    Raises:
        FileNotFoundError: A folder does not exist or is empty, or a file has no partner.
        DataError: Files cannot be used, or the sizes of a pair differ; names all of them.
    """
    pairs = pair_files(Path(predictions), Path(labels))
    confusion = np.sum(_matrices(pairs, classes, workers, progress), axis=0)
    try:
        scores = iou_scores(confusion, classes, groups)
    except ValueError as error:
        raise DataError(f'{labels}: {error}') from error
    missing = 100 * int(confusion[:, -1].sum()) / int(confusion.sum())
    return {**flat_scores(scores), 'images': len(pairs), 'no_prediction': missing}


def score_against(
    predictions: str | Path,
    others: str | Path,
    labels: str | Path,
    *,
    classes: Sequence[str] = CLASSES,
    groups: Mapping[str, Sequence[str]] | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> dict[str, float]:
    """Compares two folders of predictions of the same images, with a bootstrap over the images.

    Args:
        predictions: As in `score`.
        others: Those that are subtracted.
        labels: As in `score`.
        classes: As in `score`.
        groups: As in `score`.
        workers: As in `score`.
        progress: As in `score`.

    Returns:
        Differences and their spread; see `paired_bootstrap`.

    Raises:
        FileNotFoundError: A folder does not exist or is empty, or a file has no partner.
        DataError: Files cannot be used, or the sizes of a pair differ; names all of them.
    """
    first, second = (
        _matrices(pair_files(Path(folder), Path(labels)), classes, workers, progress)
        for folder in (predictions, others)
    )
    try:
        return paired_bootstrap([first], [second], classes, groups)
    except ValueError as error:
        raise DataError(f'{labels}: {error}') from error


def read_classes(text: str) -> dict[str, Any]:
    """Classes as the command line names them.

    Args:
        text: Names with commas between them, or a config (`.py`, `dsr_nss::NAME`, ...) that
            states `classes`.

    Returns:
        `classes` and `groups`, for `score`.

    Raises:
        ConfigError: The config states no classes, or the names cannot be used.
        FileNotFoundError: There is no such config.
    """
    config: Mapping[str, Any] = dict(classes=dict(names=[name.strip() for name in text.split(',')]))
    if text.endswith(ENDINGS) or text.startswith(PREFIX):
        config = open_config(text)
    block = class_block(config)
    if block is None:
        raise ConfigError(f'{text} states no classes: classes = dict(names=(...))')
    return dict(classes=block.names, groups=block.meta['groups'])


def pair_files(predictions: Path, labels: Path) -> list[Pair]:
    """Finds the label of each prediction.

    A pair has the same path below its folder or, where the folders are laid out differently, the
    same stem; known suffixes (`SUFFIXES`) are left out. Where files named `*_labelTrainIds.png`
    lie among the labels only these are labels: the published folders hold other forms beside them.

    Args:
        predictions: Folder of PNGs.
        labels: Folder of PNGs.

    Returns:
        `(prediction, label)`, sorted by the label, so that two folders of predictions have theirs
        in the same order however they are laid out.

    Raises:
        FileNotFoundError: A folder does not exist or is empty, or a file has no partner; the
            message names the files.
        DataError: Two files of a folder have the same name.
    """
    predicted, labelled = _files(predictions), _files(labels)
    labelled = [path for path in labelled if path.name.endswith(_TRAIN_IDS)] or labelled
    of_prediction = _by_key(predicted, lambda path: _frame(path.relative_to(predictions)))
    of_label = _by_key(labelled, lambda path: _frame(path.relative_to(labels)))
    if of_prediction.keys() != of_label.keys():
        stems = [Counter(Path(key).name for key in keys) for keys in (of_prediction, of_label)]
        unique = all(number == 1 for counter in stems for number in counter.values())
        if unique and stems[0].keys() & stems[1].keys():
            of_prediction = {Path(key).name: path for key, path in of_prediction.items()}
            of_label = {Path(key).name: path for key, path in of_label.items()}
    _check_paired(of_prediction, predictions, of_label, labels)
    return sorted(((of_prediction[k], of_label[k]) for k in of_prediction), key=itemgetter(1))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f'the folder {folder} does not exist')
    files = find_files(folder, '.png')
    if not files:
        raise FileNotFoundError(f'no PNG files below {folder}')
    return files


def _frame(path: Path) -> str:
    """The path without the file's suffix and without what a set appends to a frame's name."""
    stem = path.stem
    while True:
        fitting = (suffix for suffix in SUFFIXES if stem.endswith(suffix) and stem != suffix)
        suffix = next(fitting, '')
        if not suffix:
            return path.with_name(stem).as_posix()
        stem = stem.removesuffix(suffix)


def _by_key(paths: Iterable[Path], key: Callable[[Path], str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in paths:
        other = files.setdefault(key(path), path)
        if other is not path:
            raise DataError(f'{other} and {path} are of the same frame; keep one of them')
    return files


def _check_paired(
    of_prediction: Mapping[str, Path],
    predictions: Path,
    of_label: Mapping[str, Path],
    labels: Path,
) -> None:
    problems = []
    for files, folder, what, others, other in (
        (of_prediction, predictions, 'predictions', of_label, 'label'),
        (of_label, labels, 'labels', of_prediction, 'prediction'),
    ):
        single = sorted(p.relative_to(folder) for key, p in files.items() if key not in others)
        if single:
            problems.append(
                f'{len(single)} of {len(files)} {what} below {folder} have no {other}: '
                f'{first_of(single, limit=_NAMED)}'
            )
    if problems:
        raise FileNotFoundError(
            '\n'.join(problems) + '\nA pair has the same path below its folder or the same stem, '
            f'without {", ".join(SUFFIXES)}'
        )


def _matrices(
    pairs: Sequence[Pair], classes: Sequence[str], workers: int | None, progress: bool
) -> list[np.ndarray]:
    return map_files(
        partial(_count, num_classes=len(classes)),
        pairs,
        workers=min(workers or usable_cores(), len(pairs)),
        description='score',
        show_progress=progress,
    )


def _count(pair: Pair, num_classes: int) -> np.ndarray:
    """Confusion matrix `(K, K + 1)` of one pair."""
    prediction, label = (read_label(path) for path in pair)
    try:
        matrix = confusion_matrix(
            torch.from_numpy(prediction), torch.from_numpy(label), num_classes, gaps=True
        )
    except ValueError as error:
        raise DataError(f'{pair[0]}, label {pair[1]}: {error}') from error
    return matrix.numpy()
