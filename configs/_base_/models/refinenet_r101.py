# RefineNet on ResNet-101 (7x7 stem), from ImageNet weights.
student = dict(
    type='AdaptableEncoderDecoder',
    backbone=dict(
        type='ResNetEncoder',
        depth=101,
        init_cfg=dict(type='Pretrained', checkpoint='data/pretrained/resnet101.pth'),
    ),
    decode_head=dict(type='RefineNetHead', in_channels=[256, 512, 1024, 2048]),
)
