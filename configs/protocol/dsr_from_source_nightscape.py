"""Phase 1 of docs/protocol.md on nightscape: the method adapts the source network to night.

python tools/train.py configs/protocol/dsr_from_source_nightscape.py
"""

_base_ = [
    '../_base_/protocol_run.py',
    '../_base_/datasets/nightscape.py',
    '../_base_/methods/dsr_nss_protocol.py',
    '../_base_/models/daformer_efficientnet_lite0.py',
]

load_from = 'dsr_nss::protocol/source_nightscape.safetensors'
custom_hooks = [
    dict(type='GradientShare', interval=50),
    dict(type='PseudoLabelAccuracy', labels='data/nightscape/truth/labels', interval=50),
]
model = dict(
    student=_base_.student,
    data_preprocessor=_base_.data_preprocessor,
)
