"""Nightscape, a random half of the source classes and all small ones are mixed.

python tools/train.py configs/ablations/nightscape/random_small_mask_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(mixup=dict(always_classes='small'))
