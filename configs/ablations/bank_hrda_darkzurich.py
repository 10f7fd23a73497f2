"""HRDA on Dark Zurich, the whole DSR, no prototype alignment (table III).

python tools/train.py configs/ablations/bank_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(alignment=None)
