"""Segmentors: the students, and (on top of them) how they are trained."""

from dsr_nss.models.segmentors.adaptable import AdaptableEncoderDecoder
from dsr_nss.models.segmentors.adaptation import Adaptation
from dsr_nss.models.segmentors.dsr_nss import DSRNSS
from dsr_nss.models.segmentors.hrda import HRDAEncoderDecoder
from dsr_nss.models.segmentors.source_only import SourceOnly

__all__ = ['DSRNSS', 'Adaptation', 'AdaptableEncoderDecoder', 'HRDAEncoderDecoder', 'SourceOnly']
