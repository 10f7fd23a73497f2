# A narrow HRDA for CPUs: EfficientNet-Lite0 with ImageNet weights from a Python package, a DAFormer
# head of 64 channels, and four detail windows without overlap instead of nine.
# Its weights were trained on RGB in [-1, 1], hence the preprocessor.
data_preprocessor = dict(
    type='AdaptationPreprocessor', mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]
)
student = dict(
    type='HRDAEncoderDecoder',
    backbone=dict(type='EfficientNetLite0'),
    decode_head=dict(
        type='HRDAHead',
        head=dict(
            type='DAFormerHead',
            in_channels=[24, 40, 112, 320],
            channels=64,
            embed_channels=64,
        ),
        scale_attention=dict(
            type='DAFormerHead',
            fusion='conv1x1',
            in_channels=[24, 40, 112, 320],
            channels=32,
            embed_channels=32,
        ),
        detail_stride=1.0,
    ),
)
