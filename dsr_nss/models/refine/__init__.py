"""Holistic refinement and its aligners."""

from dsr_nss.models.refine.aligners import Alignment, Homography, Identity
from dsr_nss.models.refine.holistic import HolisticRefinement
from dsr_nss.models.refine.loftr import LoFTR
from dsr_nss.models.refine.true_flow import TrueFlow
from dsr_nss.models.refine.uawarpc import UAWarpC

__all__ = [
    'Alignment',
    'HolisticRefinement',
    'Homography',
    'Identity',
    'LoFTR',
    'TrueFlow',
    'UAWarpC',
]
