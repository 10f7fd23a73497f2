# The method with masked consistency (docs/vfm.md).
_base_ = 'dsr_nss.py'

model = dict(masking=dict(type='MaskedConsistency'))
