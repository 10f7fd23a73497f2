# DINOv3-B/16. Its weights are gated and have a licence of their own (docs/vfm.md).
_base_ = 'vit_light.py'

student = dict(
    backbone=dict(
        model_name='vit_base_patch16_dinov3',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='data/pretrained/dinov3_vitb16_pretrain_lvd1689m-73cec8be.pth',
        ),
    ),
    decode_head=dict(in_channels=768),
)
