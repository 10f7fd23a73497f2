"""Nightscape, ClassMix self-training (DACS) with the same augmentation, teacher and threshold.

python tools/train.py configs/demo/classmix_hrda_nightscape.py
"""

_base_ = 'dsr_hrda_nightscape.py'

model = dict(mixup=dict(always_classes=()), refinement=None, bank=None, alignment=None)
