# MegaDepth in the layout of the D2-Net authors; pairs and sizes of Refign's published training.
_base_ = 'image_pairs.py'

train_dataloader = dict(
    dataset=dict(
        type='MegaDepthPairs',
        data_root='data/megadepth',
        size=(750, 750),
        overlap=(0.3, 1.0),
        pairs_per_scene=300,
    )
)
