# A narrow DeepLabv2 for CPUs: half the width of ResNet-18, from random weights. The dilations of
# its head are a third of the usual ones, as the crops are.
data_preprocessor = dict(type='AdaptationPreprocessor')
student = dict(
    type='AdaptableEncoderDecoder',
    backbone=dict(
        type='ResNetEncoder',
        depth=18,
        deep_stem=True,
        stem_channels=32,
        base_channels=32,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
    ),
    decode_head=dict(type='DeepLabV2Head', in_channels=256, dilations=(2, 4, 6, 8)),
)
