"""DSR-NSS with masked consistency on DINOv3-B, Cityscapes to Dark Zurich.

    python tools/train.py configs/dsr_dinov3_b_darkzurich.py --amp

One step: 40.5 TFLOP; with --amp 16.9 GiB (estimated: docs/vfm.md).
Not yet measured here; docs/vfm.md says where the weights come from.
"""

_base_ = [
    '_base_/default_runtime.py',
    '_base_/schedules/vision_transformer.py',
    '_base_/datasets/cityscapes_to_darkzurich.py',
    '_base_/methods/dsr_nss_masked.py',
    '_base_/models/dinov3_b.py',
]

model = dict(student=_base_.student)
