# UAWarpC, trained by warp consistency (docs/alignment.md): VGG-16 with ImageNet weights, frozen, and
# the first stage of Refign's published training, with images of 750x750.
model = dict(
    type='WarpConsistency',
    crop_size=(520, 520),
    train_pyramid=False,
    pyramid=dict(
        type='VGG16Pyramid',
        init_cfg=dict(type='Pretrained', checkpoint='data/pretrained/vgg16-397923af.pth'),
    ),
    warps=dict(
        type='SyntheticWarps', corner_shift=0.333, control_shift=0.333, affine_control_shift=0.08
    ),
    appearance=dict(type='AppearanceChange', jitter=0.6, blur_probability=0.2),
)
