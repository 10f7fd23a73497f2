"""DINOv2-S on Cityscapes alone, no night image seen: what adaptation is compared with.

    python tools/train.py configs/source_only_dinov2_s_cityscapes.py --amp

One step: 6.3 TFLOP; with --amp 3.3 GiB (estimated: docs/vfm.md).
"""

_base_ = [
    '_base_/default_runtime.py',
    '_base_/schedules/vision_transformer.py',
    '_base_/datasets/cityscapes_to_darkzurich.py',
    '_base_/methods/source_only.py',
    '_base_/models/dinov2_s.py',
]

train_dataloader = dict(dataset=dict(target=None))
model = dict(student=_base_.student)
