"""A random half and all dynamic classes are mixed (table IV).

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/random_dynamic_mask.py
"""

model = dict(mixup=dict(always_classes='dynamic'))
