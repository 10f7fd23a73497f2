"""Phase 0 of docs/protocol.md on CamVid: the one source network that every row starts from.

python tools/train.py configs/protocol/source_camviddusk.py
"""

_base_ = [
    '../_base_/protocol_source.py',
    '../_base_/datasets/camvid_dusk.py',
    '../_base_/methods/source_only.py',
    '../_base_/models/daformer_efficientnet_lite0.py',
]

train_dataloader = dict(dataset=dict(crop_size=(256, 256), target=None))
model = dict(student=_base_.student, data_preprocessor=_base_.data_preprocessor)
# whether small objects are learnt is asked by day
default_test_sets = ['camvid_day_val', 'camvid_dusk_val']
val_dataloader = dict(dataset=dict(_delete_=True, **_base_.test_sets['camvid_day_val']))
val_evaluator = dict(prefix='camvid_day_val')
