# Section IV.B of the paper and the base methods: AdamW, 0.1 x rate for the encoder, linear warm-up,
# polynomial decay.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='GroupedOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=6e-4, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(backbone_lr_mult=0.1),
)
param_scheduler = dict(type='WarmupPolyLR', warmup=1500, power=0.9, by_epoch=False)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=40000, val_interval=4000)
val_cfg = dict(type='ValLoop')
