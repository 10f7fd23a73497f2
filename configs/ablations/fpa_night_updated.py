"""The night pass updates the encoder's running statistics, as in the authors' code.

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/fpa_night_updated.py
"""

model = dict(alignment=dict(night_statistics='updated'))
