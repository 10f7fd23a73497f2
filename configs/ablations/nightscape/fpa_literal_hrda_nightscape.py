"""Nightscape, equation [12] read as printed: long-tail classes weigh `s + 1/s`, not `(s+1)/s`.

python tools/train.py configs/ablations/nightscape/fpa_literal_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(alignment=dict(reweight='literal'))
