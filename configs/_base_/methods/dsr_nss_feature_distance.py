# The method with the base methods' own regulariser, for networks that start from trained encoders.
_base_ = 'dsr_nss.py'

model = dict(
    feature_distance=dict(
        type='FeatureDistance',
        class_names=_base_.class_names,
        classes=('traffic light', 'traffic sign') + _base_.dynamic,
    )
)
