# Refign's training step as its authors publish it, number for number (docs/method.md, last table).
_base_ = 'dsr_nss_feature_distance.py'

model = dict(
    mixup=dict(always_classes=(), class_pool='batch', draw_ignore=True),
    augmentation=dict(decide='batch'),
    bank=None,
    alignment=None,
    adapt_to_reference=0.5,
)
