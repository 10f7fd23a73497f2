"""DSR-NSS with masked consistency on DINOv3-L, Cityscapes to ACDC night.

    python tools/train.py configs/dsr_dinov3_l_acdc.py --amp

One step: 120.4 TFLOP; with --amp 42.7 GiB (estimated: docs/vfm.md).
Not yet measured here; docs/vfm.md says where the weights come from.
"""

_base_ = [
    '_base_/default_runtime.py',
    '_base_/schedules/vision_transformer.py',
    '_base_/datasets/cityscapes_to_acdc.py',
    '_base_/methods/dsr_nss_masked.py',
    '_base_/models/dinov3_l.py',
]

model = dict(student=_base_.student)
