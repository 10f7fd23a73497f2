"""DSR-NSS with masked consistency on DINOv2-S, Cityscapes to ACDC night.

    python tools/train.py configs/dsr_dinov2_s_acdc.py --amp

One step: 31.5 TFLOP; with --amp 11.3 GiB (estimated: docs/vfm.md).
Not yet measured here; docs/vfm.md says where the weights come from.
"""

_base_ = [
    '_base_/default_runtime.py',
    '_base_/schedules/vision_transformer.py',
    '_base_/datasets/cityscapes_to_acdc.py',
    '_base_/methods/dsr_nss_masked.py',
    '_base_/models/dinov2_s.py',
]

model = dict(student=_base_.student)
