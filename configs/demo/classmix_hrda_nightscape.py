"""Nightscape, ClassMix self-training (DACS) with the same augmentation, teacher and threshold.

Results: docs/results.md.

python tools/train.py configs/demo/classmix_hrda_nightscape.py
"""

_base_ = [
    '../_base_/short_run.py',
    '../_base_/datasets/nightscape.py',
    '../_base_/methods/classmix.py',
    '../_base_/models/hrda_efficientnet_lite0.py',
]

model = dict(
    student=_base_.student,
    data_preprocessor=_base_.data_preprocessor,
    teacher=dict(momentum=1 - 40 / _base_.max_iters),
    confidence_threshold=0.8,
)
