"""Phase 1 of docs/protocol.md on CamVid: the source network trained on, without adaptation.

python tools/train.py configs/protocol/continued_source_camviddusk.py
"""

_base_ = [
    '../_base_/protocol_run.py',
    '../_base_/datasets/camvid_dusk.py',
    '../_base_/methods/source_only.py',
    '../_base_/models/daformer_efficientnet_lite0.py',
]

load_from = 'work_dirs/source_camviddusk/iter_4000.pth'
model = dict(student=_base_.student, data_preprocessor=_base_.data_preprocessor)
