# A run of 600 iterations for small machines (docs/method.md, "Short runs").
_base_ = ['default_runtime.py', 'schedule.py']

max_iters = 600
optim_wrapper = dict(optimizer=dict(lr=4e-3), paramwise_cfg=dict(backbone_lr_mult=0.5))
param_scheduler = dict(warmup=max_iters // 20)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 4)
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=max_iters // 2, max_keep_ckpts=1),
    panel=dict(interval=max_iters // 4),
)
