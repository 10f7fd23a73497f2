"""HRDA (MiT-B5) on Cityscapes alone, from ImageNet weights: what the network does without adaptation.

    python tools/train.py configs/source_only_hrda_cityscapes.py --amp

The paper reports 55.9 mIoU on Dark Zurich test for "HRDA-Cityscapes" (the paper's number, of an
adapted network with another start); this config is the lower bound, not that row.
"""

_base_ = [
    '_base_/default_runtime.py',
    '_base_/schedule.py',
    '_base_/datasets/cityscapes_to_darkzurich.py',
    '_base_/methods/source_only.py',
    '_base_/models/hrda_mit_b5.py',
]

train_dataloader = dict(dataset=dict(target=None))
model = dict(student=_base_.student)
model['student']['backbone']['init_cfg']['checkpoint'] = 'data/pretrained/mit_b5.pth'
