"""Nightscape, losses weighted with alpha 1.5 and beta 0.125.

python tools/train.py configs/ablations/nightscape/alpha150_beta0125_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(alpha=1.5, beta=0.125)
