"""Keeps of every validation what the report of a training shows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from dsr_nss.evaluation.accumulator import ScoredImage
from dsr_nss.evaluation.iou import flat_scores, iou_scores
from dsr_nss.evaluation.metric import sample_confusion
from dsr_nss.evaluation.picture_record import write_record
from dsr_nss.evaluation.test_sets import prediction_names
from dsr_nss.evaluation.worst_cases import WorstCases

#: Below a work dir.
FOLDER = Path('vis/validation')


@HOOKS.register_module()
class ValidationRecordHook(Hook):
    """Writes `work_dir/vis/validation` after each validation, in place of the one before.

    Scores by class, and the images with the lowest scores and some drawn ones with label and
    prediction (`picture_record`). Only the last validation is kept, since pictures take space.
    """

    priority = 'LOW'

    def before_val_epoch(self, runner) -> None:
        """Begin anew."""
        dataset = runner.val_dataloader.dataset
        paths = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
        self._names = dict(zip(paths, prediction_names(dataset), strict=True))
        self._images = WorstCases(dataset.metainfo['classes'])
        # by image: processes that share a set see some of its images twice
        self._confusions: dict[str, np.ndarray] = {}

    def after_val_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: Sequence = ()
    ) -> None:
        """Score one batch."""
        for output in outputs:
            sample = output.to_dict()
            name = self._names[sample['img_path']]
            confusion = sample_confusion(sample, len(self._images.classes)).cpu().numpy()
            self._confusions[name] = confusion
            prediction, label = (
                sample[key]['data'].squeeze(0).cpu().numpy().astype(np.uint8)
                for key in ('pred_sem_seg', 'gt_sem_seg')
            )
            image = ScoredImage(
                name, prediction, label, confusion, image_file=sample['img_path'],
                label_file=sample.get('seg_map_path') or '',
            )  # fmt: skip
            self._images.update(image)

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Write."""
        confusions = {k: v for part in all_gather_object(self._confusions) for k, v in part.items()}
        self._images.merge(all_gather_object(self._images.state()))
        if not is_main_process() or not confusions:
            return
        meta = runner.val_dataloader.dataset.metainfo
        total = np.sum(list(confusions.values()), axis=0)
        prefixes = (getattr(metric, 'prefix', None) for metric in runner.val_evaluator.metrics)
        write_record(
            Path(runner.work_dir) / FOLDER,
            title=next(filter(None, prefixes), 'validation'),
            images=self._images,
            palette=meta['palette'],
            scores=flat_scores(iou_scores(total, self._images.classes, meta.get('groups'))),
            iteration=runner.iter,
        )
