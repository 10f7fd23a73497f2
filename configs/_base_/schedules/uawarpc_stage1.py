# First stage of Refign's training of UAWarpC on MegaDepth, in batches of 6. The decay is part of the
# gradient and acts on every parameter, hence mmengine's own parameter groups.
max_iters = 400000
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, weight_decay=4e-4))
param_scheduler = dict(type='MultiStepLR', milestones=[250000, 325000], gamma=0.5, by_epoch=False)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
