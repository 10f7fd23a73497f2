# DAFormer: HRDA's network without the high-resolution branch. It starts from ImageNet weights, as
# the authors' DAFormer config does.
student = dict(
    type='AdaptableEncoderDecoder',
    backbone=dict(
        type='MiT',
        arch='b5',
        init_cfg=dict(type='Pretrained', checkpoint='data/pretrained/mit_b5.pth'),
    ),
    decode_head=dict(type='DAFormerHead', in_channels=[64, 128, 320, 512]),
)
