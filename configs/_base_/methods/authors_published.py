# The step of the authors' code for HRDA where it differs from the paper (docs/method.md, last table):
# companions instead of the composite mask, a bank of batches, other factors of the losses.
_base_ = 'dsr_nss_feature_distance.py'

model = dict(
    mixup=dict(
        always_classes=(),
        draw_ignore=True,
        companions=[
            (('traffic light', 'traffic sign'), ('pole',)),
            (('pole',), ('traffic light', 'traffic sign')),
            (('rider',), ('motorcycle', 'bicycle')),
        ],
    ),
    augmentation=dict(decide='batch'),
    bank=dict(
        _delete_=True,
        type='BatchMemoryBank',
        long_tail_classes=('rider', 'truck', 'bus', 'motorcycle', 'bicycle'),
    ),
    alignment=dict(
        start=9700,  # their epoch 8
        reweight='none',
        absent='kept',
        prototype_scope='image',
        prototype_labels='nearest',
        mixed_weight=0.01,
        night_gradient=False,
        night_statistics='updated',
    ),
    alpha=0.8,
)
