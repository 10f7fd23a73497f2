"""Nightscape, losses weighted with alpha 1.5 and beta 0.075.

python tools/train.py configs/ablations/nightscape/alpha150_beta0075_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(alpha=1.5, beta=0.075)
