"""A random half of the classes is mixed (table IV).

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/random_mask.py
"""

model = dict(mixup=dict(always_classes=()))
