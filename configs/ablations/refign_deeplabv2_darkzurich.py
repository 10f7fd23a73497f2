"""Refign on DeepLabv2 (ResNet-101), Cityscapes to Dark Zurich: its own step as published.

    python tools/train.py configs/ablations/refign_deeplabv2_darkzurich.py --amp

Half of the steps take the day reference as the target; docs/method.md lists what else differs.
"""

_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/schedules/published.py',
    '../_base_/datasets/cityscapes_to_darkzurich_half.py',
    '../_base_/methods/refign_published.py',
    '../_base_/models/deeplabv2_r101.py',
]

model = dict(student=_base_.student)
