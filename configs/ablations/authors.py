"""The step of the authors' code for HRDA where it differs from the paper.

    python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/authors.py \
        configs/ablations/linear_decay.py configs/ablations/authors_start.py

Companions instead of the composite mask, a bank of batches, other factors of the losses.
docs/method.md lists the differences. Their prototype loss is about a third of the paper's.
"""

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
