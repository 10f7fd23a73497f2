# The second stage: stronger warps, elastic ones too, and in the bipath only what is visible in both
# views. A config adds where it starts: model.init_cfg, the last checkpoint of the first stage.
_base_ = 'uawarpc.py'

model = dict(
    visibility_mask=True,
    warps=dict(
        corner_shift=0.4, control_shift=0.4, affine_control_shift=0.26, elastic_probability=1.0
    ),
)
