"""Phase 1 of docs/protocol.md on nightscape: the source network trained on, without adaptation.

python tools/train.py configs/protocol/continued_source_nightscape.py
"""

_base_ = [
    '../_base_/protocol_run.py',
    '../_base_/datasets/nightscape.py',
    '../_base_/methods/source_only.py',
    '../_base_/models/daformer_efficientnet_lite0.py',
]

load_from = 'dsr_nss::protocol/source_nightscape.safetensors'
model = dict(student=_base_.student, data_preprocessor=_base_.data_preprocessor)
