"""CamVid day to dusk, source only: the small DeepLabv2 trained on labelled day images alone.

    python tools/train.py configs/camvid/source_only_deeplabv2_camviddusk.py

It starts from random weights. Not measured yet.
"""

_base_ = [
    '../_base_/camvid_run.py',
    '../_base_/datasets/camvid_dusk.py',
    '../_base_/methods/source_only.py',
    '../_base_/models/deeplabv2_r18.py',
]

optim_wrapper = dict(  # a random start: one rate for encoder and head, and a lower one
    optimizer=dict(lr=1e-3), paramwise_cfg=dict(backbone_lr_mult=1.0)
)
model = dict(student=_base_.student, data_preprocessor=_base_.data_preprocessor)
