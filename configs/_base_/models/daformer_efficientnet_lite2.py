# A DAFormer for CPUs that is wide enough for small objects: EfficientNet-Lite2 with ImageNet weights
# from a Python package. It looks at the pictures at their own size; HRDA's context would halve them.
_base_ = 'daformer_efficientnet_lite0.py'

student = dict(
    backbone=dict(type='EfficientNetLite2'),
    decode_head=dict(in_channels=[24, 48, 120, 352], channels=128, embed_channels=128),
)
