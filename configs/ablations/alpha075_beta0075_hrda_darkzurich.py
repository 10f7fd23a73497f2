"""HRDA on Dark Zurich, losses weighted with alpha 0.75 and beta 0.075 (table V).

python tools/train.py configs/ablations/alpha075_beta0075_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(alpha=0.75, beta=0.075)
