"""UAWarpC on MegaDepth, first of two stages: synthetic warps of moderate strength.

Data: MegaDepth as the D2-Net authors arrange it (docs/alignment.md), VGG-16's ImageNet weights.

python tools/train.py configs/align/uawarpc_megadepth.py
"""

_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/image_pairs.py',
    '../_base_/models/uawarpc.py',
    '../_base_/schedules/uawarpc_stage1.py',
]

train_dataloader = dict(
    dataset=dict(type='MegaDepthPairs', data_root='data/megadepth', size=(750, 750))
)
default_hooks = dict(checkpoint=dict(interval=20000))
