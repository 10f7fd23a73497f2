# The method in a short run at crop 192 (docs/method.md, "Short runs").
_base_ = 'dsr_nss.py'

model = dict(
    refinement=dict(
        aligner=dict(_delete_=True, type='Identity')
    ),  # SIFT matches few of these pairs
    confidence_threshold=0.8,  # so few steps make no network as sure as 40,000
)
