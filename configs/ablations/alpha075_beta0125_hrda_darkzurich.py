"""HRDA on Dark Zurich, losses weighted with alpha 0.75 and beta 0.125 (table V).

python tools/train.py configs/ablations/alpha075_beta0125_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(alpha=0.75, beta=0.125)
