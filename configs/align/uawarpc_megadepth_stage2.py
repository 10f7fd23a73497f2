"""UAWarpC on MegaDepth, second stage: stronger warps, and only what both views show.

Starts from the last checkpoint of the first stage.

python tools/train.py configs/align/uawarpc_megadepth_stage2.py
"""

_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/megadepth_pairs.py',
    '../_base_/models/uawarpc_stage2.py',
    '../_base_/schedules/uawarpc_stage2.py',
]

model = dict(
    init_cfg=dict(type='Pretrained', checkpoint='work_dirs/uawarpc_megadepth/iter_400000.pth')
)
default_hooks = dict(checkpoint=dict(interval=20000))
