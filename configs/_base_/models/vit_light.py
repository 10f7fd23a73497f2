# A vision transformer of timm with the light decoder; a config adds the names and widths. Windows of
# the crop's size at test time, as VFM-UDA tests.
student = dict(
    type='AdaptableEncoderDecoder',
    backbone=dict(type='TimmViT'),
    decode_head=dict(type='LightHead'),
    test_cfg=dict(mode='slide', crop_size=(1024, 1024), stride=(512, 512)),
)
