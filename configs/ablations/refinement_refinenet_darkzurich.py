"""RefineNet self-trained with labels refined by the day reference, as Refign; no DSR.

python tools/train.py configs/ablations/refinement_refinenet_darkzurich.py
"""

_base_ = '../dsr_refinenet_darkzurich.py'

model = dict(mixup=dict(always_classes=()), bank=None, alignment=None)
