"""CamVid day to dusk, DSR-NSS without day references, which this set does not have.

Results: docs/short_runs.md.

python tools/train.py configs/camvid/dsr_camviddusk.py
"""

_base_ = [
    '../_base_/camvid_run.py',
    '../_base_/datasets/camvid_dusk.py',
    '../_base_/methods/dsr_nss_short.py',
    '../_base_/models/hrda_efficientnet_lite0.py',
]

model = dict(
    student=_base_.student,
    data_preprocessor=_base_.data_preprocessor,
    teacher=dict(momentum=1 - 40 / _base_.max_iters),
    refinement=None,
    alignment=dict(start=_base_.max_iters // 4, feature_level=0),  # 24x24 cells at crop 192
)
