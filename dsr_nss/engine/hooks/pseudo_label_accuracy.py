"""How right the teacher's pseudo-labels are, where the target's truth is known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from torch import Tensor

from dsr_nss.classes import IGNORE_INDEX, REPORTED_GROUPS
from dsr_nss.datasets.crops import random_box
from dsr_nss.datasets.pixels import DecodedFiles, PixelFile
from dsr_nss.datasets.source_target import SourceTargetDataset
from dsr_nss.engine.processes import plain_model
from dsr_nss.errors import ConfigError, DataError
from dsr_nss.models.segmentors.dsr_nss import DSRNSS
from dsr_nss.values import Count, checked


@HOOKS.register_module()
@checked
class PseudoLabelAccuracy(Hook):
    """Logs which share of the truth of each class group the pseudo-labels have right.

    Every `interval` steps the teacher labels the same crops of evenly spaced target images, in
    batches of the training's size and refined as in training. `pseudo_accuracy` is the share of
    all labelled pixels that are right, in percent, and `pseudo_accuracy_small` and so on that of
    the pixels whose true class is in the group; a group that the truth lacks is left out.

    The truth is read by this hook alone and never meets a loss; the crops pass the teacher outside
    of the step, and its buffers are put back, so that the run trains as it would without the hook.

    Args:
        labels: Folder of the truth: `<key of the image>_gt_labelTrainIds.png`, as nightscape has
            it for the Dark Zurich train images in `data/nightscape/truth/labels`.
        interval: Steps between two measurements.
        images: How many target images are looked at.
    """

    priority = 'NORMAL'

    def __init__(self, *, labels: str, interval: Count = 50, images: Count = 8) -> None:
        self.labels = Path(labels)
        self.interval = interval
        self.images = images
        self._batches: list[tuple[dict[str, Tensor], Tensor]] = []
        self._groups: dict[str, list[int]] = {}

    def before_train(self, runner) -> None:
        """Read the crops.

        Raises:
            ConfigError: The model has no pseudo-labels, or the run has no target.
            FileNotFoundError: There is no truth of an image.
            DataError: It has another size than the image.
        """
        data, model = runner.train_dataloader.dataset, plain_model(runner)
        if not isinstance(model, DSRNSS):
            raise ConfigError(
                f'PseudoLabelAccuracy needs a model with a teacher (DSRNSS), got '
                f'{type(model).__name__}: remove the hook'
            )
        if not isinstance(data, SourceTargetDataset) or data.target is None:
            raise ConfigError('PseudoLabelAccuracy needs train_dataloader.dataset.target')
        names = list(data.metainfo['classes'])
        for group, members in data.metainfo.get('groups', {}).items():
            if group in REPORTED_GROUPS and members:
                self._groups[group] = [names.index(member) for member in members]
        self._batches = read_views(
            data, self.labels, self.images, runner.train_dataloader.batch_size or 1
        )

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Label, compare, log."""
        if not self.every_n_train_iters(runner, self.interval):
            return
        model = plain_model(runner)
        kept = {name: value.clone() for name, value in model.teacher.named_buffers()}
        right: list[Tensor] = []
        truths: list[Tensor] = []
        for items, truth in self._batches:
            with runner.optim_wrapper.optim_context(model):  # in the precision of the training
                label, _, _ = model.pseudo_label(model.data_preprocessor(items, training=True))
            right.append(label.cpu() == truth)
            truths.append(truth)
        for name, value in model.teacher.named_buffers():
            value.copy_(kept[name])
        shares = accuracies(torch.cat(right), torch.cat(truths), self._groups)
        for name, share in shares.items():
            runner.message_hub.update_scalar(f'train/{name}', share)


def read_views(
    data: SourceTargetDataset, labels: Path, images: int, batch_size: int
) -> list[tuple[dict[str, Tensor], Tensor]]:
    """The same crops of evenly spaced target images, in batches.

    Args:
        data: The training set; its sizes of images and crops are taken.
        labels: Folder of the truth, see `PseudoLabelAccuracy`.
        images: How many images, at most all of them.
        batch_size: Crops of a batch; the last one may be smaller.

    Returns:
        What a preprocessor takes, with the night image in place of a source image and a label that
        is ignored everywhere; and the truth `(B, H, W)` uint8, 255 = ignore.

    Raises:
        FileNotFoundError: There is no truth of an image.
        DataError: It has another size than the image.
    """
    assert data.target is not None
    chosen = np.unique(np.linspace(0, len(data.target) - 1, images).round().astype(int))
    views = [_view(data, data.target.get_data_info(int(i)), labels, int(i)) for i in chosen]
    batches = []
    for start in range(0, len(views), batch_size):
        part = views[start : start + batch_size]
        stacked = {name: torch.stack([view[name] for view in part]) for name in part[0]}
        truth = stacked.pop('truth')
        stacked['source_image'] = stacked['night_image']
        stacked['source_label'] = torch.full_like(truth, IGNORE_INDEX)
        batches.append((stacked, truth))
    return batches


def _view(data: SourceTargetDataset, info: Mapping, labels: Path, number: int) -> dict[str, Tensor]:
    read, file = DecodedFiles().read, info['img_path']
    truth_file = labels / f'{info["key"]}_gt_labelTrainIds.png'
    if not truth_file.is_file():
        raise FileNotFoundError(
            f'PseudoLabelAccuracy: the truth {truth_file} of {file} does not exist; `labels` must '
            'be a folder as truth/labels of a nightscape'
        )
    night, night_size = read(PixelFile(file, False, data.target_scale))
    truth, truth_size = read(PixelFile(str(truth_file), True, data.target_scale))
    if truth_size != night_size:
        raise DataError(f'{truth_file} has another size than {file}')
    box = random_box(np.random.default_rng(number), night.shape[:2], data.crop_size, file)
    day = night  # where there is no reference; the preprocessor takes no notice of it then
    if info['reference_path'] is not None:
        day = read(PixelFile(info['reference_path'], False, data.target_scale)).array
    return {
        'night_image': torch.from_numpy(box.cut(night).transpose(2, 0, 1).copy()),
        'reference_image': torch.from_numpy(box.cut(day).transpose(2, 0, 1).copy()),
        'has_reference': torch.tensor(info['reference_path'] is not None),
        'truth': torch.from_numpy(box.cut(truth).copy()),
    }


def accuracies(
    right: Tensor, truth: Tensor, groups: Mapping[str, Sequence[int]]
) -> dict[str, float]:
    """Shares of labelled pixels that are right, in percent, of all and of each group's classes.

    Args:
        right: `(N, H, W)` bool.
        truth: `(N, H, W)` ids, 255 = ignore.
        groups: Name -> ids of its classes.

    Returns:
        `pseudo_accuracy` and `pseudo_accuracy_<group>`, without those that have no pixel.
    """
    masks = {'pseudo_accuracy': truth != IGNORE_INDEX}
    for group, ids in groups.items():
        masks[f'pseudo_accuracy_{group}'] = torch.isin(truth, torch.tensor(ids, dtype=truth.dtype))
    return {
        name: 100 * float(right[mask].float().mean()) for name, mask in masks.items() if mask.any()
    }
