"""Nightscape, the small DAFormer with its own self-training (ClassMix), no day reference.

python tools/train.py configs/ablations/nightscape/classmix_daformer_nightscape.py
"""

_base_ = [
    '../../_base_/short_run.py',
    '../../_base_/datasets/nightscape.py',
    '../../_base_/methods/classmix.py',
    '../../_base_/models/daformer_efficientnet_lite0.py',
]

model = dict(
    student=_base_.student,
    data_preprocessor=_base_.data_preprocessor,
    teacher=dict(momentum=1 - 40 / _base_.max_iters),
    confidence_threshold=0.8,
)
