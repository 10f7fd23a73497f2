"""HRDA on Dark Zurich, losses weighted with alpha 1.5 and beta 0.1 (table V).

python tools/train.py configs/ablations/alpha150_beta0100_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(alpha=1.5)
