# A narrow RefineNet for CPUs: half the width of ResNet-18, from random weights, and paths of 48
# channels.
data_preprocessor = dict(type='AdaptationPreprocessor')
student = dict(
    type='AdaptableEncoderDecoder',
    backbone=dict(type='ResNetEncoder', depth=18, stem_channels=32, base_channels=32),
    decode_head=dict(
        type='RefineNetHead',
        in_channels=[32, 64, 128, 256],
        channels=48,
        coarsest_channels=96,
    ),
)
