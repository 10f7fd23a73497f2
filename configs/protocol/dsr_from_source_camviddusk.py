"""Phase 1 of docs/protocol.md on CamVid: the method adapts the source network to dusk.

python tools/train.py configs/protocol/dsr_from_source_camviddusk.py
"""

_base_ = [
    '../_base_/protocol_run.py',
    '../_base_/datasets/camvid_dusk.py',
    '../_base_/methods/dsr_nss_protocol.py',
    '../_base_/models/daformer_efficientnet_lite0.py',
]

load_from = 'work_dirs/source_camviddusk/iter_4000.pth'
custom_hooks = [dict(type='GradientShare', interval=50)]
model = dict(
    student=_base_.student,
    data_preprocessor=_base_.data_preprocessor,
    refinement=None,  # this set has no day references
)
