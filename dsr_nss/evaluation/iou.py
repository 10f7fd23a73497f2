"""Intersection over union (IoU) from confusion matrices: the one place that computes scores.

IoU = true positives / (true positives + false positives + false negatives), counted over all pixels
of a set, ignored pixels left out (Everingham et al., PASCAL VOC; Cordts et al., Cityscapes).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dsr_nss.classes import IGNORE_INDEX, reported_groups

_IDS = 256  # labels are 8-bit


@dataclass(frozen=True)
class IoUScores:
    """Scores of one set, percent in float64, unrounded.

    Attributes:
        mean: Mean IoU over the classes that occur in the ground truth: the primary figure.
        official: Mean IoU over the classes with a non-empty union, as the Cityscapes script
            counts: a class that is predicted but does not occur is 0 there.
        classes: IoU of each class by name; None for a class that does not occur.
        groups: Mean IoU over those classes of each group that occur; None when none does.
    """

    mean: float
    official: float
    classes: dict[str, float | None]
    groups: dict[str, float | None]


def confusion_matrix(
    prediction: Tensor,
    target: Tensor,
    num_classes: int,
    *,
    gaps: bool = False,
) -> Tensor:
    """Counts pixels by target class and predicted class.

    Args:
        prediction: `(H, W)` integer, class ids.
        target: `(H, W)` integer, class ids or `IGNORE_INDEX`.
        num_classes: `K`, at most 255.
        gaps: Allow pixels without a predicted class (id 255) and count them in a further column,
            so that they are missed, as the Cityscapes script counts them.

    Returns:
        `(K, K)` int64, with `gaps` `(K, K + 1)`, on the device of `prediction`: rows are targets,
        columns predictions.

    Raises:
        ValueError: The sizes differ, or an id is neither a class nor (in the target) ignored; the
            message lists the sizes or ids.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f'the prediction is {_size(prediction)} and the label {_size(target)} (height x width)'
        )
    for name, labels in (('prediction', prediction), ('label', target)):
        if labels.dtype != torch.uint8 and labels.numel():
            low, high = int(labels.min()), int(labels.max())
            if low < 0 or high >= _IDS:
                raise ValueError(f'the {name} holds ids from {low} to {high}; valid are 0..255')
    pairs = target.reshape(-1).to(prediction.device, torch.int64) * _IDS
    pairs += prediction.reshape(-1)
    counts = torch.bincount(pairs, minlength=_IDS**2).reshape(_IDS, _IDS)
    _check_ids('label', counts.sum(dim=1), num_classes, ignored=True)
    _check_ids('prediction', counts.sum(dim=0), num_classes, ignored=gaps)
    matrix = counts[:num_classes, :num_classes]
    if gaps:
        matrix = torch.cat([matrix, counts[:num_classes, IGNORE_INDEX:]], dim=1)
    return matrix.clone()


def iou_scores(
    confusion: Tensor | np.ndarray,
    classes: Sequence[str],
    groups: Mapping[str, Sequence[str]] | None = None,
) -> IoUScores:
    """Scores of a set.

    Args:
        confusion: `(K, K)` or `(K, K + 1)` counts from `confusion_matrix`: the sum over all images
            of the set.
        classes: The `K` class names.
        groups: The groups of the set (`metainfo.groups`), of which `reported_groups` are used;
            None: those that follow from the names.

    Raises:
        ValueError: Another shape, or no labelled pixel at all.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    number = len(classes)
    if counts.shape not in ((number, number), (number, number + 1)):
        raise ValueError(f'{number} classes but a confusion matrix of shape {counts.shape}')
    if counts.sum() == 0:
        raise ValueError('the labels hold no pixel of any class, only ignored ones')
    iou, occurs, _ = _class_ious(counts)
    means = {name: float(mean) for name, mean in mean_ious(counts, classes, groups).items()}
    mean, official = means.pop('mIoU'), means.pop('mIoU_official')
    return IoUScores(
        mean=mean,
        official=official,
        classes={n: float(iou[i]) if occurs[i] else None for i, n in enumerate(classes)},
        groups={
            name.removeprefix('mIoU_'): None if np.isnan(mean) else mean
            for name, mean in means.items()
        },
    )


def mean_ious(
    counts: np.ndarray, classes: Sequence[str], groups: Mapping[str, Sequence[str]] | None = None
) -> dict[str, np.ndarray]:
    """The means of `iou_scores`, of many sets at once.

    Args:
        counts: `(..., K, K)` or `(..., K, K + 1)` float64, a confusion matrix of each set.
        classes: As in `iou_scores`.
        groups: As in `iou_scores`.

    Returns:
        `{'mIoU', 'mIoU_official', 'mIoU_<group>'}` -> `(...)` float64 percent, nan where none of
        the classes occurs.
    """
    iou, occurs, has_union = _class_ious(counts)
    members = {'mIoU': occurs, 'mIoU_official': has_union}
    for group, of_group in _members(classes, groups).items():
        members[f'mIoU_{group}'] = occurs & of_group
    return {name: _mean(iou, which) for name, which in members.items()}


def mean_rates(
    counts: np.ndarray, classes: Sequence[str], groups: Mapping[str, Sequence[str]] | None = None
) -> dict[str, float | None]:
    """Precision and recall of the class groups: whether an IoU is lost to wrong or missed pixels.

    Precision is the share of the pixels predicted as a class that are of it, 0 for a class that is
    never predicted; recall the share of a class's pixels that are predicted as it.

    Args:
        counts: `(K, K)` or `(K, K + 1)`, as in `iou_scores`.
        classes: As in `iou_scores`.
        groups: As in `iou_scores`.

    Returns:
        `{'precision/<group>', 'recall/<group>'}` -> percent, the mean over those classes of the
        group that occur in the labels; None when none does.
    """
    right, labelled = counts.diagonal(), counts.sum(axis=1)
    predicted = counts[:, : len(classes)].sum(axis=0)
    totals = {'precision': predicted, 'recall': labelled}
    means = {
        f'{rate}/{group}': _mean(100 * right / np.maximum(total, 1), of_group & (labelled > 0))
        for group, of_group in _members(classes, groups).items()
        for rate, total in totals.items()
    }
    return {key: None if np.isnan(mean) else float(mean) for key, mean in means.items()}


def _members(
    classes: Sequence[str], groups: Mapping[str, Sequence[str]] | None
) -> dict[str, np.ndarray]:
    """Of each reported group, which of the classes belong to it."""
    of_groups = reported_groups(classes, groups)
    return {group: np.isin(classes, names) for group, names in of_groups.items()}


def _mean(values: np.ndarray, which: np.ndarray) -> np.ndarray:
    with np.errstate(invalid='ignore'):  # 0 / 0 is nan
        return (values * which).sum(-1) / which.sum(-1)


def _class_ious(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each class the IoU in percent, whether labels hold it, and whether it has a union."""
    right, labelled = counts.diagonal(axis1=-2, axis2=-1), counts.sum(axis=-1)
    union = labelled + counts[..., : counts.shape[-2]].sum(axis=-2) - right
    return 100 * right / np.maximum(union, 1), labelled > 0, union > 0


def flat_scores(scores: IoUScores, per_class: bool = True) -> dict[str, float | None]:
    """`{'mIoU', 'mIoU_official', 'mIoU_<group>', 'IoU/<class>'}` -> percent or None."""
    flat: dict[str, float | None] = {'mIoU': scores.mean, 'mIoU_official': scores.official}
    flat |= {f'mIoU_{group}': value for group, value in scores.groups.items()}
    if per_class:
        flat |= {f'IoU/{name}': value for name, value in scores.classes.items()}
    return flat


def occurrence_note(flat: Mapping[str, float | None]) -> str | None:
    """What a reader of the means must know of classes that no label holds; None if there are none.

    Args:
        flat: Scores of one set with its classes, as `flat_scores` gives them.
    """
    classes = {key[4:]: value for key, value in flat.items() if key.startswith('IoU/')}
    absent = [name for name, value in classes.items() if value is None]
    if not absent:
        return None
    note = (
        f'{len(classes) - len(absent)} of {len(classes)} classes occur in the labels; mIoU and '
        f'the means of groups leave out {", ".join(absent)}'
    )
    if len(absent) == len(classes) - 1:
        note += (
            '. A mean over one class says nothing. Are the labels masks of 0 and 255? 255 is '
            'ignored: an object needs the id of its class'
        )
    return note


def _check_ids(name: str, counts: Tensor, num_classes: int, ignored: bool) -> None:
    valid = {*range(num_classes), *([IGNORE_INDEX] if ignored else [])}
    bad = [i for i in counts.nonzero().flatten().tolist() if i not in valid]
    if bad:
        shown = ', '.join(map(str, bad[:8])) + (', ...' if len(bad) > 8 else '')
        more = f' and {IGNORE_INDEX} (ignore)' if ignored else ''
        raise ValueError(f'the {name} holds the ids {shown}; valid are 0..{num_classes - 1}{more}')


def _size(labels: Tensor) -> str:
    return 'x'.join(map(str, labels.shape))
