"""Encoders that mmseg lacks or runs badly."""

from dsr_nss.models.backbones.efficientnet_lite import EfficientNetLite0
from dsr_nss.models.backbones.mit import MiT

__all__ = ['EfficientNetLite0', 'MiT']
