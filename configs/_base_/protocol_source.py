# Phase 0 of docs/protocol.md: the rates of the CamVid run, four times as long, from the source alone.
_base_ = 'camvid_run.py'

max_iters = 4000
param_scheduler = dict(warmup=max_iters // 20)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 4)
default_hooks = dict(
    checkpoint=dict(interval=max_iters // 4),
    panel=dict(interval=max_iters // 4),
)
