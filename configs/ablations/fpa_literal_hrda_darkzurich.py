"""HRDA on Dark Zurich, equation [12] as printed: long-tail classes weigh `s + 1/s`, not `(s+1)/s`.

python tools/train.py configs/ablations/fpa_literal_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(alignment=dict(reweight='literal'))
