"""DSR-NSS on DINOv3-L for a card of 24 GB: `dsr_dinov3_l_darkzurich.py` with recomputed activations.

    python tools/train.py configs/dsr_dinov3_l_darkzurich_24gb.py --amp

With --amp 11.1 GiB (estimated: docs/vfm.md) instead of 42.7; it computes the same and takes longer. DINOv3-B needs no
such thing there. Not yet measured here.
"""

_base_ = 'dsr_dinov3_l_darkzurich.py'

model = dict(student=dict(backbone=dict(with_cp=True)))
