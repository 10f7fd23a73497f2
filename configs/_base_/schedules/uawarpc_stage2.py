# Second stage of Refign's training of UAWarpC on MegaDepth.
max_iters = 225000
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-5, weight_decay=4e-4))
param_scheduler = dict(
    type='MultiStepLR', milestones=[100000, 150000, 200000], gamma=0.5, by_epoch=False
)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
