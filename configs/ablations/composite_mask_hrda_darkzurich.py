"""HRDA on Dark Zurich, DSR without the long-tail bank, no prototype alignment (table III).

python tools/train.py configs/ablations/composite_mask_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(bank=None, alignment=None)
