# For foundation encoders: VFM-UDA's rate, 5e-5 times the root of the 4 images of a step, and decay
# from layer to layer as VFM-UDA++ has it.
_base_ = '../schedule.py'

optim_wrapper = dict(optimizer=dict(lr=1e-4), paramwise_cfg=dict(layer_decay=0.9))
