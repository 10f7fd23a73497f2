# The method from a trained start at crop 192 (docs/protocol.md): prototypes from the first step, on
# 12x12 cells, and the published threshold.
_base_ = 'dsr_nss.py'

model = dict(
    teacher=dict(momentum=0.99),
    refinement=dict(aligner=dict(_delete_=True, type='XFeat')),
    alignment=dict(start=1, feature_level=2),
)
