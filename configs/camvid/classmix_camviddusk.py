"""CamVid day to dusk, ClassMix self-training (DACS) on the same network, augmentation and schedule.

python tools/train.py configs/camvid/classmix_camviddusk.py
"""

_base_ = [
    '_camvid.py',
    '../_base_/methods/classmix.py',
    '../_base_/models/hrda_efficientnet_lite0.py',
]

model = dict(
    student=_base_.student,
    data_preprocessor=_base_.data_preprocessor,
    teacher=dict(momentum=1 - 40 / _base_.max_iters),
)
