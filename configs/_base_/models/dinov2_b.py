# DINOv2-B/14: a crop of 1024 is seen at 1120, a whole number of patches.
_base_ = 'vit_light.py'

student = dict(
    backbone=dict(
        model_name='vit_base_patch14_dinov2',
        scale=1.1,
        positions='hub',
        init_cfg=dict(type='Pretrained', checkpoint='data/pretrained/dinov2_vitb14_pretrain.pth'),
    ),
    decode_head=dict(in_channels=768),
)
