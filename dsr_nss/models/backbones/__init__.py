"""Encoders that mmseg lacks, runs badly or loads unsafely."""

from dsr_nss.models.backbones.efficientnet_lite import EfficientNetLite0, EfficientNetLite2
from dsr_nss.models.backbones.mit import MiT
from dsr_nss.models.backbones.resnet import ResNetEncoder
from dsr_nss.models.backbones.timm_encoders import TimmConvNeXt, TimmViT

__all__ = [
    'EfficientNetLite0',
    'EfficientNetLite2',
    'MiT',
    'ResNetEncoder',
    'TimmConvNeXt',
    'TimmViT',
]
