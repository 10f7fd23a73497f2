"""DeepLabv2 with ClassMix self-training (DACS) on Dark Zurich, no day reference.

python tools/train.py configs/ablations/classmix_deeplabv2_darkzurich.py
"""

_base_ = '../dsr_deeplabv2_darkzurich.py'

model = dict(
    mixup=dict(always_classes=()),
    refinement=None,
    bank=None,
    alignment=None,
    adapt_to_reference=0.0,
)
