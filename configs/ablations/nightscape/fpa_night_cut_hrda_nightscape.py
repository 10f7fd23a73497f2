"""Nightscape, no gradient through the night features, as in the authors' code.

python tools/train.py configs/ablations/nightscape/fpa_night_cut_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(alignment=dict(night_gradient=False))
