"""DSR-NSS on DeepLabv2 (ResNet-101), Cityscapes to Dark Zurich.

    python tools/train.py configs/dsr_deeplabv2_darkzurich.py --amp

Crops of 512x512 from half-resolution images, start from ImageNet weights; half of the steps take
the day reference itself as the target, as in the authors' config.

The paper reports 53.7 mIoU on Dark Zurich test (the paper's number, with a dense matching
network as aligner); not yet measured here.
"""

_base_ = [
    '_base_/default_runtime.py',
    '_base_/schedule.py',
    '_base_/datasets/cityscapes_to_darkzurich_half.py',
    '_base_/methods/dsr_nss_feature_distance.py',
    '_base_/models/deeplabv2_r101.py',
]

model = dict(
    student=_base_.student,
    adapt_to_reference=0.5,
)
