"""Nightscape, source only: the small DAFormer trained on labelled day images alone.

python tools/train.py configs/demo/source_only_daformer_nightscape.py
"""

_base_ = [
    '../_base_/short_run.py',
    '../_base_/datasets/nightscape.py',
    '../_base_/methods/source_only.py',
    '../_base_/models/daformer_efficientnet_lite0.py',
]

model = dict(student=_base_.student, data_preprocessor=_base_.data_preprocessor)
