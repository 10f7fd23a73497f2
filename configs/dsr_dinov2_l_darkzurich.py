"""DSR-NSS with masked consistency on DINOv2-L, Cityscapes to Dark Zurich.

    python tools/train.py configs/dsr_dinov2_l_darkzurich.py --amp

One step: 227.2 TFLOP; with --amp 56.1 GiB (estimated: docs/vfm.md).
Not yet measured here; docs/vfm.md says where the weights come from.
"""

_base_ = [
    '_base_/default_runtime.py',
    '_base_/schedules/vision_transformer.py',
    '_base_/datasets/cityscapes_to_darkzurich.py',
    '_base_/methods/dsr_nss_masked.py',
    '_base_/models/dinov2_l.py',
]

model = dict(student=_base_.student)
