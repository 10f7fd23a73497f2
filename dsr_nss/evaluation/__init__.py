"""Intersection over union by class and by group: the numbers, and the metric of validation."""

from dsr_nss.evaluation.iou import IoUScores, confusion_matrix, iou_scores
from dsr_nss.evaluation.metric import NightIoUMetric

__all__ = ['IoUScores', 'NightIoUMetric', 'confusion_matrix', 'iou_scores']
