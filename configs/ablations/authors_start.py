"""Prototypes from step 9,700 of 40,000 on, the start of epoch 8 in the authors' code, or that share.

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/authors_start.py
"""

model = dict(alignment=dict(start=round(9700 / 40000 * _base_.train_cfg.max_iters)))
