"""CamVid day to dusk, the whole DSR, no prototype alignment.

Results: docs/results.md.

python tools/train.py configs/ablations/camvid/bank_camviddusk.py
"""

_base_ = '../../camvid/dsr_camviddusk.py'

model = dict(alignment=None)
