"""Nightscape, nothing is mixed or pasted: the mixed image is the augmented night image.

python tools/train.py configs/ablations/nightscape/empty_mask_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(mixup=dict(always_classes=(), random_half=False), bank=None)
