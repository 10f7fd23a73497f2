"""Prototypes from step 9,700 of 40,000 on, the start of epoch 8 in the authors' code.

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/authors_start.py
"""

model = dict(alignment=dict(start=9700))
