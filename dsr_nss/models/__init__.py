"""Networks, the parts of the method, and the training step that assembles them."""

from dsr_nss.models import backbones, decode_heads, dsr, fpa, losses, refine, segmentors
from dsr_nss.models.masked_consistency import MaskedConsistency
from dsr_nss.models.preprocessor import AdaptationPreprocessor
from dsr_nss.models.teacher import EMATeacher

__all__ = [
    'AdaptationPreprocessor',
    'EMATeacher',
    'MaskedConsistency',
    'backbones',
    'decode_heads',
    'dsr',
    'fpa',
    'losses',
    'refine',
    'segmentors',
]
