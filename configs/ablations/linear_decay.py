"""The schedule of the base methods' and the authors' code: linear decay.

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/linear_decay.py
"""

param_scheduler = dict(power=1.0)
