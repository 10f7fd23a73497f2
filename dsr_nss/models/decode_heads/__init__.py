"""Decode heads that mmseg lacks."""

from dsr_nss.models.decode_heads.daformer import DAFormerHead
from dsr_nss.models.decode_heads.hrda import HRDAHead

__all__ = ['DAFormerHead', 'HRDAHead']
