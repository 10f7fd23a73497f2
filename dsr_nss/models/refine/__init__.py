"""Holistic refinement, and the aligners that need no matching network."""

from dsr_nss.models.refine.aligners import Alignment, Homography, Identity
from dsr_nss.models.refine.holistic import HolisticRefinement

__all__ = [
    'Alignment',
    'HolisticRefinement',
    'Homography',
    'Identity',
]
