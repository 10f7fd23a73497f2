"""CamVid day to dusk, DSR-NSS without day references: the small DeepLabv2.

    python tools/train.py configs/camvid/dsr_deeplabv2_camviddusk.py

It starts from random weights. Not measured yet.
"""

_base_ = [
    '../_base_/camvid_run.py',
    '../_base_/datasets/camvid_dusk.py',
    '../_base_/methods/dsr_nss_short.py',
    '../_base_/models/deeplabv2_r18.py',
]

optim_wrapper = dict(  # a random start: one rate for encoder and head, and a lower one
    optimizer=dict(lr=1e-3), paramwise_cfg=dict(backbone_lr_mult=1.0)
)
model = dict(
    student=_base_.student,
    data_preprocessor=_base_.data_preprocessor,
    teacher=dict(momentum=1 - 40 / _base_.max_iters),
    refinement=None,
    alignment=dict(start=_base_.max_iters // 4),  # 24x24 cells at crop 192
)
