"""Nightscape, source only: the small HRDA trained on labelled day images alone.

Cost: 2.5 minutes on 2 cores, 1.2 GiB. Results: docs/short_runs.md.

python tools/train.py configs/demo/source_only_hrda_nightscape.py
"""

_base_ = [
    '../_base_/short_run.py',
    '../_base_/datasets/nightscape.py',
    '../_base_/methods/source_only.py',
    '../_base_/models/hrda_efficientnet_lite0.py',
]

model = dict(student=_base_.student, data_preprocessor=_base_.data_preprocessor)
