"""UAWarpC on one's own images: data/pairs/target, and of each a second view of the same stem in
data/pairs/reference.

Images without a second view, or a folder without any (`--cfg-options
train_dataloader.dataset.images.references=None`), train with synthetic warps alone.

python tools/train.py configs/align/uawarpc_folder.py
"""

_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/image_pairs.py',
    '../_base_/models/uawarpc.py',
    '../_base_/schedules/uawarpc_stage1.py',
]

train_dataloader = dict(
    dataset=dict(
        type='ReferencePairs',
        images=dict(
            type='FolderDataset', data_root='data/pairs', images='target', references='reference'
        ),
        size=(750, 750),
    )
)
