"""Prototype alignment without re-weighting long-tail classes (table III).

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/fpa_plain.py
"""

model = dict(alignment=dict(reweight='none'))
