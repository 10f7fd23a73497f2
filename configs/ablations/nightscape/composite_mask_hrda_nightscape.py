"""Nightscape, DSR without the long-tail bank, no prototype alignment.

python tools/train.py configs/ablations/nightscape/composite_mask_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(bank=None, alignment=None)
