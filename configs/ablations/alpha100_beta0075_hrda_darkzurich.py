"""HRDA on Dark Zurich, losses weighted with alpha 1.0 and beta 0.075 (table V).

python tools/train.py configs/ablations/alpha100_beta0075_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(beta=0.075)
