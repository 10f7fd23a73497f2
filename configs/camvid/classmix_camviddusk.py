"""CamVid day to dusk, ClassMix self-training (DACS) with the same augmentation and schedule.

Results: docs/results.md.

python tools/train.py configs/camvid/classmix_camviddusk.py
"""

_base_ = [
    '../_base_/camvid_run.py',
    '../_base_/datasets/camvid_dusk.py',
    '../_base_/methods/classmix.py',
    '../_base_/models/hrda_efficientnet_lite0.py',
]

model = dict(
    student=_base_.student,
    data_preprocessor=_base_.data_preprocessor,
    teacher=dict(momentum=1 - 40 / _base_.max_iters),
    confidence_threshold=0.8,
)
