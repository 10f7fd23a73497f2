"""DSR-NSS on DINOv3-B for a card of 24 GB: `dsr_dinov3_b_darkzurich.py` with recomputed activations.

    python tools/train.py configs/dsr_dinov3_b_darkzurich_24gb.py --amp

Meant for such a card; its memory is not measured yet.
"""

_base_ = 'dsr_dinov3_b_darkzurich.py'

model = dict(student=dict(backbone=dict(with_cp=True)))
