"""Nightscape, HRDA's self-training with labels refined by the day reference, as Refign.

python tools/train.py configs/ablations/nightscape/refinement_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(mixup=dict(always_classes=()), bank=None, alignment=None)
