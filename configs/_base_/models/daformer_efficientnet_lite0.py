# A narrow DAFormer for CPUs: the small HRDA without the high-resolution branch.
_base_ = 'hrda_efficientnet_lite0.py'

student = dict(
    _delete_=True,
    type='AdaptableEncoderDecoder',
    backbone=_base_.student.backbone,
    decode_head=_base_.student.decode_head.head,
)
