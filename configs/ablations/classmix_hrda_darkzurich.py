"""HRDA's own self-training (ClassMix) on Dark Zurich, no day reference.

python tools/train.py configs/ablations/classmix_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(mixup=dict(always_classes=()), refinement=None, bank=None, alignment=None)
