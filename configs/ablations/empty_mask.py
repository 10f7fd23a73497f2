"""Nothing is mixed: without a bank `X'_m` is the augmented night image (table IV).

    python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/empty_mask.py \
        configs/ablations/no_bank.py
"""

model = dict(mixup=dict(always_classes=(), random_half=False))
