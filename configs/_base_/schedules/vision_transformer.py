# For foundation encoders: 1e-4, and decay from layer to layer as VFM-UDA++ has it. VFM-UDA takes 5e-5
# times the root of the loader's batch: 7.1e-5 for the 2 + 2 images here, 1.41e-4 for its own 8 + 8.
_base_ = '../schedule.py'

optim_wrapper = dict(optimizer=dict(lr=1e-4), paramwise_cfg=dict(layer_decay=0.9))
