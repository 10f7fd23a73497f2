"""Nightscape, DSR with prototype alignment, long-tail classes not re-weighted.

python tools/train.py configs/ablations/nightscape/fpa_plain_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(alignment=dict(reweight='none'))
