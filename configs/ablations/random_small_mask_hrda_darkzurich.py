"""HRDA on Dark Zurich, a random half and all small classes are mixed (table IV).

python tools/train.py configs/ablations/random_small_mask_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(mixup=dict(always_classes='small'))
