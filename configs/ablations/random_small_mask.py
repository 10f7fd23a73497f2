"""A random half and all small classes are mixed (table IV).

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/random_small_mask.py
"""

model = dict(mixup=dict(always_classes='small'))
