"""HRDA on Dark Zurich, prototype alignment without re-weighting long-tail classes (table III).

python tools/train.py configs/ablations/fpa_plain_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(alignment=dict(reweight='none'))
