"""A small UAWarpC on the night images and day references of nightscape, for CPUs.

Its features are EfficientNet-Lite0's, with ImageNet weights from a Python package. Results:
docs/alignment.md.

python tools/train.py configs/align/uawarpc_nightscape.py
"""

_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/image_pairs.py',
    '../_base_/models/uawarpc_efficientnet_lite0.py',
    '../_base_/schedules/uawarpc_short.py',
]

model = dict(bipath_start=_base_.max_iters * 3 // 4 + 1)
train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    dataset=dict(
        type='ReferencePairs',
        images=dict(type='DarkZurich', data_root='data/nightscape/dark_zurich', split='train'),
        size=(256, 512),
    ),
)
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=_base_.max_iters // 4, max_keep_ckpts=1),
    panel=dict(interval=_base_.max_iters // 4),
)
