"""Nightscape, DSR-NSS: the small HRDA adapted from labelled day to unlabelled night images.

Cost: 6.5 minutes on 2 cores, 1.4 GiB. Results: docs/short_runs.md.

python tools/train.py configs/demo/dsr_hrda_nightscape.py
"""

_base_ = [
    '../_base_/short_run.py',
    '../_base_/datasets/nightscape.py',
    '../_base_/methods/dsr_nss_short.py',
    '../_base_/models/hrda_efficientnet_lite0.py',
]

model = dict(
    student=_base_.student,
    data_preprocessor=_base_.data_preprocessor,
    teacher=dict(momentum=1 - 40 / _base_.max_iters),
    alignment=dict(start=_base_.max_iters // 4, feature_level=0),  # 24x24 cells at crop 192
)
