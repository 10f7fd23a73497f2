"""Without masked consistency.

python tools/train.py configs/dsr_dinov3_b_darkzurich.py --with configs/ablations/no_masking.py
"""

model = dict(masking=None)
