# ClassMix (half of the classes, no day reference, bank or prototypes) with masked consistency
# (docs/vfm.md).
_base_ = 'dsr_nss.py'

model = dict(
    mixup=dict(always_classes=()),
    refinement=None,
    bank=None,
    alignment=None,
    masking=dict(type='MaskedConsistency'),
)
