# DeepLabv2 on ResNet-101 (v1c stem) with output stride 8, from ImageNet weights.
student = dict(
    type='AdaptableEncoderDecoder',
    backbone=dict(
        type='ResNetEncoder',
        depth=101,
        deep_stem=True,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        init_cfg=dict(type='Pretrained', checkpoint='data/pretrained/resnet101_v1c.pth'),
    ),
    decode_head=dict(type='DeepLabV2Head', in_channels=2048),
)
