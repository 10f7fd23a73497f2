"""RefineNet (ResNet-101) on Cityscapes alone, from ImageNet weights: no adaptation.

    python tools/train.py configs/source_only_refinenet_cityscapes.py --amp

The paper reports 28.5 mIoU on Dark Zurich test for "RefineNet-Cityscapes" (the paper's number).
"""

_base_ = [
    '_base_/default_runtime.py',
    '_base_/schedule.py',
    '_base_/datasets/cityscapes_to_darkzurich_half.py',
    '_base_/methods/source_only.py',
    '_base_/models/refinenet_r101.py',
]

train_dataloader = dict(dataset=dict(target=None))
model = dict(student=_base_.student)
