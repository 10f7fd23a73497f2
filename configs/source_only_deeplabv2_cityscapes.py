"""DeepLabv2 (ResNet-101) on Cityscapes alone, from ImageNet weights: no adaptation.

    python tools/train.py configs/source_only_deeplabv2_cityscapes.py --amp

The paper reports 28.8 mIoU on Dark Zurich test for "DeepLabv2-Cityscapes" (the paper's number).
"""

_base_ = [
    '_base_/default_runtime.py',
    '_base_/schedule.py',
    '_base_/datasets/cityscapes_to_darkzurich_half.py',
    '_base_/methods/source_only.py',
    '_base_/models/deeplabv2_r101.py',
]

train_dataloader = dict(dataset=dict(target=None))
model = dict(student=_base_.student)
