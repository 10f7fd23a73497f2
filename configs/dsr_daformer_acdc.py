"""DSR-NSS on DAFormer (MiT-B5), Cityscapes to ACDC night.

    python tools/train.py configs/dsr_daformer_acdc.py --amp

As on Dark Zurich; half of the steps, drawn at random, take the day reference itself as the target,
as the authors' ACDC configs do.
"""

_base_ = [
    '_base_/default_runtime.py',
    '_base_/schedule.py',
    '_base_/datasets/cityscapes_to_acdc_half.py',
    '_base_/methods/dsr_nss_feature_distance.py',
    '_base_/models/daformer_mit_b5.py',
]

model = dict(
    student=_base_.student,
    adapt_to_reference=0.5,
)
