"""Nightscape, the whole DSR, no prototype alignment.

python tools/train.py configs/ablations/nightscape/bank_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(alignment=None)
