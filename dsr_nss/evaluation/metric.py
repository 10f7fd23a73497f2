"""IoU as a metric of mmengine's evaluator, for validation during training."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS
from torch import Tensor

from dsr_nss.errors import DataError
from dsr_nss.evaluation.iou import confusion_matrix, flat_scores, iou_scores, occurrence_note
from dsr_nss.values import checked


@METRICS.register_module()
@checked
class NightIoUMetric(BaseMetric):
    """`<prefix>/mIoU`, `<prefix>/mIoU_official` and the means of the class groups, in percent.

    mmseg's `IoUMetric` rounds, knows no groups, averages over every class with a union and lets
    ids that are no class pass. What is kept of an image is its confusion matrix, so several
    processes give exactly the numbers of one, and no prediction stays in memory.

    Classes and groups that do not occur in the ground truth have no entry, since loggers take only
    numbers.

    Args:
        prefix: Name of the set with its split, e.g. `'dark_zurich_val'`.
        per_class: Add `<prefix>/IoU/<class>`.
        collect_device: `'cpu'` or `'gpu'`: where several processes put their results together.
    """

    def __init__(
        self,
        *,
        prefix: str,
        per_class: bool = False,
        collect_device: str = 'cpu',
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.per_class = per_class
        self._noted = False

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count one batch of predicted samples.

        Args:
            data_batch: Not read.
            data_samples: mmseg's samples as dicts, with `pred_sem_seg` and `gt_sem_seg`.

        Raises:
            ValueError: A label and its prediction differ in size, or hold ids that are no class.
        """
        for sample in data_samples:
            matrix = sample_confusion(sample, len(self._classes))
            self.results.append(matrix.cpu())

    def compute_metrics(self, results: list[Tensor]) -> dict[str, float]:
        """Scores of the sum of confusion matrices, by name; those without a value are left out.

        Args:
            results: `(K, K)` int64 matrices of the images, rows are targets.
        """
        groups = (self.dataset_meta or {}).get('groups')
        try:
            scores = iou_scores(torch.stack(results).sum(dim=0), self._classes, groups)
        except ValueError as error:
            raise DataError(f'{self.prefix}: {error}') from error
        note = occurrence_note(flat_scores(scores))
        if note is not None and not self._noted:
            print_log(f'{self.prefix}: {note}', 'current', logging.WARNING)
            self._noted = True
        flat = flat_scores(scores, self.per_class)
        return {name: value for name, value in flat.items() if value is not None}

    @property
    def _classes(self) -> Sequence[str]:
        if not self.dataset_meta or not self.dataset_meta.get('classes'):
            raise ValueError(f'{self.prefix}: the data set names no classes (metainfo.classes)')
        return self.dataset_meta['classes']


def sample_confusion(sample: dict, num_classes: int) -> Tensor:
    """Confusion matrix of one predicted mmseg sample (as a dict).

    Args:
        sample: Sample with `pred_sem_seg` and `gt_sem_seg`, whose `data` are `(1, H, W)` or
            `(H, W)` integer class ids.
        num_classes: `K`.

    Returns:
        `(K, K)` int64, rows are targets.

    Raises:
        DataError: `confusion_matrix` refuses prediction or label; the message names the files.
    """
    name = sample.get('img_path', 'image')
    if 'gt_sem_seg' not in sample:
        raise DataError(f'{name}: no label was loaded; the pipeline needs LoadAnnotations')
    prediction = _map(sample['pred_sem_seg']['data'])
    target = _map(sample['gt_sem_seg']['data'])
    try:
        return confusion_matrix(prediction, target, num_classes)
    except ValueError as error:
        label = f', label {sample["seg_map_path"]}' if sample.get('seg_map_path') else ''
        hint = ''
        if prediction.shape != target.shape:
            hint = (
                '. Image and label must have the same size, and LoadAnnotations must come after '
                'whatever resizes the image'
            )
        raise DataError(f'{name}{label}: {error}{hint}') from None


def _map(data: Tensor) -> Tensor:
    """`(1, H, W)` of a sample -> `(H, W)`."""
    return data.squeeze(0) if data.ndim == 3 else data
