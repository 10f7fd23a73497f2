"""Nightscape, losses weighted with alpha 0.75 and beta 0.1.

python tools/train.py configs/ablations/nightscape/alpha075_beta0100_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(alpha=0.75)
