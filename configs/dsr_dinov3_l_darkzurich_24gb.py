"""DSR-NSS on DINOv3-L for a card of 24 GB: `dsr_dinov3_l_darkzurich.py` with recomputed activations.

    python tools/train.py configs/dsr_dinov3_l_darkzurich_24gb.py --amp

One step: 153.4 TFLOP; with --amp 11.1 GiB (estimated: docs/cards.md) instead of 120.4 and 42.7. It computes the same
and takes longer; DINOv3-B needs no such thing there.
Not yet measured here; docs/vfm.md says where the weights come from.
"""

_base_ = 'dsr_dinov3_l_darkzurich.py'

model = dict(student=dict(backbone=dict(with_cp=True)))
