# A training of the matching network for small machines: a rate ten times the published one, decaying
# to zero. A config sets model.bipath_start too: before it a step takes less than a third of the time.
max_iters = 1400
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, weight_decay=4e-4))
param_scheduler = dict(type='WarmupPolyLR', warmup=max_iters // 20, power=0.9, by_epoch=False)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
