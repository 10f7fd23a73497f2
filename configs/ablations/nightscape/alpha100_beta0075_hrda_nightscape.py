"""Nightscape, losses weighted with alpha 1.0 and beta 0.075.

python tools/train.py configs/ablations/nightscape/alpha100_beta0075_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(beta=0.075)
