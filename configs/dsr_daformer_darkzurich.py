"""DSR-NSS on DAFormer (MiT-B5), Cityscapes to Dark Zurich.

    python tools/train.py configs/dsr_daformer_darkzurich.py --amp

DAFormer is HRDA without the high-resolution branch. Crops of 512x512 from half-resolution images,
start from ImageNet weights, as in the authors' config.

Not yet measured here.
"""

_base_ = [
    '_base_/default_runtime.py',
    '_base_/schedule.py',
    '_base_/datasets/cityscapes_to_darkzurich_half.py',
    '_base_/methods/dsr_nss_feature_distance.py',
    '_base_/models/daformer_mit_b5.py',
]

model = dict(
    student=_base_.student,
)
