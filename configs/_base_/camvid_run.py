# The short run with what suits CamVid: more steps at smaller rates (docs/short_runs.md says what was tried).
_base_ = 'short_run.py'

max_iters = 1000
optim_wrapper = dict(optimizer=dict(lr=2e-3), paramwise_cfg=dict(backbone_lr_mult=0.25))
param_scheduler = dict(warmup=max_iters // 20)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 4)
default_hooks = dict(
    checkpoint=dict(interval=max_iters // 2),
    panel=dict(interval=max_iters // 4),
)
