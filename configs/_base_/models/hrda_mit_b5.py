# HRDA on the DAFormer head with MiT-B5: the paper's network. It starts from SegFormer-B5 weights
# trained on Cityscapes, as Refign's and the authors' HRDA configs do.
student = dict(
    type='HRDAEncoderDecoder',
    backbone=dict(
        type='MiT',
        arch='b5',
        init_cfg=dict(
            type='Pretrained', checkpoint='data/pretrained/segformer.b5.1024x1024.city.160k.pth'
        ),
    ),
    decode_head=dict(
        type='HRDAHead',
        head=dict(type='DAFormerHead', in_channels=[64, 128, 320, 512]),
        scale_attention=dict(
            type='DAFormerHead', fusion='conv1x1', in_channels=[64, 128, 320, 512]
        ),
    ),
    test_cfg=dict(mode='slide', crop_size=(1080, 1080), stride=(420, 420)),
)
