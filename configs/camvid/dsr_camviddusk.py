"""CamVid day to dusk, DSR-NSS without day references, which this set does not have.

python tools/train.py configs/camvid/dsr_camviddusk.py
"""

_base_ = [
    '_camvid.py',
    '../_base_/methods/dsr_nss.py',
    '../_base_/models/hrda_efficientnet_lite0.py',
]

model = dict(
    student=_base_.student,
    data_preprocessor=_base_.data_preprocessor,
    teacher=dict(momentum=1 - 40 / _base_.max_iters),
    refinement=None,
    bank=dict(size=(256, 256)),
    alignment=dict(start=_base_.max_iters // 4, feature_level=1),  # 16x16 cells at crop 256
)
