# A small UAWarpC for CPUs: features of EfficientNet-Lite0 with ImageNet weights from a Python package,
# for images of 256x512.
_base_ = 'uawarpc.py'

model = dict(
    crop_size=(176, 352),
    pyramid=dict(
        _delete_=True,
        type='BackbonePyramid',
        backbone=dict(type='EfficientNetLite0'),
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
    ),
)
