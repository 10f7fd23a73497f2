"""Encoders that mmseg lacks, runs badly or loads unsafely."""

from dsr_nss.models.backbones.efficientnet_lite import EfficientNetLite0
from dsr_nss.models.backbones.mit import MiT
from dsr_nss.models.backbones.resnet import ResNetEncoder

__all__ = ['EfficientNetLite0', 'MiT', 'ResNetEncoder']
