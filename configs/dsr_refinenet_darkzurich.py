"""DSR-NSS on RefineNet (ResNet-101), Cityscapes to Dark Zurich.

    python tools/train.py configs/dsr_refinenet_darkzurich.py --amp

Crops of 512x512 from half-resolution images, start from ImageNet weights; half of the steps take
the day reference itself as the target, and there is no feature distance, as in the authors' config.

The paper reports 50.7 mIoU on Dark Zurich test (the paper's number, with a dense matching
network as aligner); not yet measured here.
"""

_base_ = [
    '_base_/default_runtime.py',
    '_base_/schedule.py',
    '_base_/datasets/cityscapes_to_darkzurich_half.py',
    '_base_/methods/dsr_nss.py',
    '_base_/models/refinenet_r101.py',
]

model = dict(
    student=_base_.student,
    adapt_to_reference=0.5,
)
