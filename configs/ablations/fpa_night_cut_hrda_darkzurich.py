"""HRDA on Dark Zurich, no gradient through the night features, as in the authors' code.

python tools/train.py configs/ablations/fpa_night_cut_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(alignment=dict(night_gradient=False))
