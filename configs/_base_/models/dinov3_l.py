# DINOv3-L/16. Its weights are gated and have a licence of their own (docs/vfm.md).
_base_ = 'vit_light.py'

student = dict(
    backbone=dict(
        model_name='vit_large_patch16_dinov3',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='data/pretrained/dinov3_vitl16_pretrain_lvd1689m-8aa4cbdd.pth',
        ),
    ),
    decode_head=dict(in_channels=1024),
)
