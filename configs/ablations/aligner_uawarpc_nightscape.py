"""The day reference is aligned by a small matching network, of configs/align/uawarpc_nightscape.py.

    python tools/train.py configs/protocol/dsr_from_source_nightscape.py \
        --with configs/ablations/aligner_uawarpc_nightscape.py
"""

_start = dict(type='Pretrained', checkpoint='work_dirs/uawarpc_nightscape/iter_1400.pth')
_pyramid = dict(
    type='BackbonePyramid',
    backbone=dict(type='EfficientNetLite0'),
    mean=(127.5, 127.5, 127.5),
    std=(127.5, 127.5, 127.5),
)
model = dict(
    refinement=dict(aligner=dict(_delete_=True, type='UAWarpC', init_cfg=_start, pyramid=_pyramid))
)
