"""Without the long-tail bank.

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/no_bank.py
"""

model = dict(bank=None)
