"""Nightscape with the step of the authors' code where it differs from the paper.

python tools/train.py configs/ablations/nightscape/authors_hrda_nightscape.py
"""

_base_ = [
    '../../_base_/short_run.py',
    '../../_base_/datasets/nightscape.py',
    '../../_base_/methods/authors_published.py',
    '../../_base_/models/hrda_efficientnet_lite0.py',
]

model = dict(
    student=_base_.student,
    data_preprocessor=_base_.data_preprocessor,
    # what a short run at crop 192 changes (docs/method.md), as in dsr_hrda_nightscape.py
    teacher=dict(momentum=1 - 40 / _base_.max_iters),
    refinement=dict(aligner=dict(_delete_=True, type='Identity')),
    alignment=dict(start=_base_.max_iters // 4, feature_level=0),
    feature_distance=None,
    confidence_threshold=0.8,
)
