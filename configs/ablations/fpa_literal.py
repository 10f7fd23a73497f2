"""Equation [12] as printed: long-tail classes weigh `s + 1/s`, not `(s+1)/s`.

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/fpa_literal.py
"""

model = dict(alignment=dict(reweight='literal'))
