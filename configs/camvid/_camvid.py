# What all CamVid runs share: day to dusk, the narrow HRDA, a schedule of 600 iterations.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/schedule.py',
    '../_base_/datasets/camvid_dusk.py',
]

max_iters = 600
optim_wrapper = dict(optimizer=dict(lr=4e-3), paramwise_cfg=dict(backbone_lr_mult=0.5))
param_scheduler = dict(warmup=max_iters // 20)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 3)
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=max_iters // 2, max_keep_ckpts=1),
    panel=dict(interval=max_iters // 3),
)
# EfficientNet-Lite0's ImageNet weights were trained on RGB in [-1, 1]
data_preprocessor = dict(
    type='AdaptationPreprocessor', mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]
)
