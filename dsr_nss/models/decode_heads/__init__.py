"""Decode heads that mmseg lacks."""

from dsr_nss.models.decode_heads.daformer import DAFormerHead
from dsr_nss.models.decode_heads.deeplabv2 import DeepLabV2Head
from dsr_nss.models.decode_heads.hrda import HRDAHead
from dsr_nss.models.decode_heads.light import LightHead
from dsr_nss.models.decode_heads.refinenet import RefineNetHead

__all__ = ['DAFormerHead', 'DeepLabV2Head', 'HRDAHead', 'LightHead', 'RefineNetHead']
