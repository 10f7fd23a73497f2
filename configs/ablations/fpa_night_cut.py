"""No gradient through the night features, as in the authors' code.

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/fpa_night_cut.py
"""

model = dict(alignment=dict(night_gradient=False))
