"""MIC on HRDA (MiT-B5), Cityscapes to Dark Zurich, by its own protocol: ImageNet weights, no day reference.

    python tools/train.py configs/mic_hrda_darkzurich.py --amp

Its authors report 60.2 mIoU on Dark Zurich test, the mean of three seeds (docs/results.md).

One step: 14.6 TFLOP; with --amp 17.2 GiB (estimated: docs/cards.md).
Not yet measured here.
"""

_base_ = [
    '_base_/default_runtime.py',
    '_base_/schedule.py',
    '_base_/datasets/cityscapes_to_darkzurich.py',
    '_base_/methods/dsr_nss_feature_distance.py',
    '_base_/models/hrda_mit_b5.py',
]

optim_wrapper = dict(optimizer=dict(lr=6e-4))  # 6e-5 for the encoder
param_scheduler = dict(power=1.0)
model = dict(
    student=_base_.student,
    refinement=None,
    bank=None,
    alignment=None,
    mixup=dict(always_classes=(), draw_ignore=True),
    augmentation=dict(decide='batch'),
    masking=dict(type='MaskedConsistency', variant='half'),
)
model['student']['backbone']['init_cfg']['checkpoint'] = 'data/pretrained/mit_b5.pth'
model['student']['test_cfg'] = dict(mode='slide', crop_size=(1024, 1024), stride=(512, 512))
