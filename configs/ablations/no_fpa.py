"""Without prototype alignment.

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/no_fpa.py
"""

model = dict(alignment=None)
