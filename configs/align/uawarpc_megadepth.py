"""UAWarpC on MegaDepth, first of two stages: synthetic warps of moderate strength.

Data: MegaDepth as the D2-Net authors arrange it (docs/alignment.md), VGG-16's ImageNet weights.

python tools/train.py configs/align/uawarpc_megadepth.py
"""

_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/megadepth_pairs.py',
    '../_base_/models/uawarpc.py',
    '../_base_/schedules/uawarpc_stage1.py',
]

default_hooks = dict(checkpoint=dict(interval=20000))
