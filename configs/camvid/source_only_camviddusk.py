"""CamVid day to dusk, source only: the small HRDA trained on labelled day images alone.

Results: docs/short_runs.md.

python tools/train.py configs/camvid/source_only_camviddusk.py
"""

_base_ = [
    '../_base_/camvid_run.py',
    '../_base_/datasets/camvid_dusk.py',
    '../_base_/methods/source_only.py',
    '../_base_/models/hrda_efficientnet_lite0.py',
]

model = dict(student=_base_.student, data_preprocessor=_base_.data_preprocessor)
