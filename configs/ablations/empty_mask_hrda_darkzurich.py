"""HRDA on Dark Zurich, nothing mixed or pasted: `X'_m` is the augmented night image (table IV).

python tools/train.py configs/ablations/empty_mask_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(mixup=dict(always_classes=(), random_half=False), bank=None)
