"""HRDA on Cityscapes alone with the adaptation's colour jitter and blur: what augmentation gives.

python tools/train.py configs/ablations/source_only_augmented_hrda_cityscapes.py
"""

_base_ = '../source_only_hrda_cityscapes.py'

model = dict(augmentation=dict(type='PhotometricAugmentation'))
