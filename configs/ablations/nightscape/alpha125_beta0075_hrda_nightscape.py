"""Nightscape, losses weighted with alpha 1.25 and beta 0.075.

python tools/train.py configs/ablations/nightscape/alpha125_beta0075_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(alpha=1.25, beta=0.075)
