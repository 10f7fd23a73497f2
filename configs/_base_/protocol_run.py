# Phase 1 of docs/protocol.md: every row goes on from the source network, with equal steps.
_base_ = 'camvid_run.py'

max_iters = 300
optim_wrapper = dict(optimizer=dict(lr=1e-3))  # half of what the start was trained with
param_scheduler = dict(warmup=max_iters // 20)
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(
    checkpoint=dict(interval=max_iters),
    panel=dict(interval=max_iters // 2),
)
