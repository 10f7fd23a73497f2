"""Nightscape, losses weighted with alpha 0.75 and beta 0.125.

python tools/train.py configs/ablations/nightscape/alpha075_beta0125_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(alpha=0.75, beta=0.125)
