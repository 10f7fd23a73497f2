"""Nightscape, losses weighted with alpha 1.0 and beta 0.125.

python tools/train.py configs/ablations/nightscape/alpha100_beta0125_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(beta=0.125)
