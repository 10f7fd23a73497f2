# The method with the base methods' own regulariser, for networks that start from trained encoders.
_base_ = 'dsr_nss.py'

model = dict(feature_distance=dict(type='FeatureDistance'))
