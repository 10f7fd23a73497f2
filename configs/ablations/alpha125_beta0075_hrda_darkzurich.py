"""HRDA on Dark Zurich, losses weighted with alpha 1.25 and beta 0.075 (table V).

python tools/train.py configs/ablations/alpha125_beta0075_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(alpha=1.25, beta=0.075)
