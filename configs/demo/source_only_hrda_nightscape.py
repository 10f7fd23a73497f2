"""Nightscape, source only: the small HRDA trained on labelled day images alone.

python tools/train.py configs/demo/source_only_hrda_nightscape.py
"""

_base_ = [
    '_demo.py',
    '../_base_/methods/source_only.py',
    '../_base_/models/hrda_efficientnet_lite0.py',
]

model = dict(student=_base_.student, data_preprocessor=_base_.data_preprocessor)
