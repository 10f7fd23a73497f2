"""Intersection over union by class and by group: the numbers, and the metric of validation."""

from dsr_nss.evaluation.iou import IoUScores, confusion_matrix, iou_scores
from dsr_nss.evaluation.metric import NightIoUMetric
from dsr_nss.evaluation.validation_record import ValidationRecordHook

__all__ = [
    'IoUScores',
    'NightIoUMetric',
    'ValidationRecordHook',
    'confusion_matrix',
    'iou_scores',
]
