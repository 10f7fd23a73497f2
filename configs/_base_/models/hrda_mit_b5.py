# HRDA on the DAFormer head with MiT-B5: the paper's network.
student = dict(
    type='HRDAEncoderDecoder',
    backbone=dict(type='MiT', arch='b5'),
    decode_head=dict(
        type='HRDAHead',
        head=dict(type='DAFormerHead', in_channels=[64, 128, 320, 512], num_classes=19),
        scale_attention=dict(
            type='DAFormerHead', fusion='conv1x1', in_channels=[64, 128, 320, 512], num_classes=19
        ),
    ),
    test_cfg=dict(mode='slide', crop_size=(1080, 1080), stride=(420, 420)),
)
