# ClassMix with masked consistency (docs/vfm.md).
_base_ = 'classmix.py'

model = dict(masking=dict(type='MaskedConsistency'))
