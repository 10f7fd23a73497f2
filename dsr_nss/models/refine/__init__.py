"""Holistic refinement and its aligners."""

from dsr_nss.models.refine.aligners import Alignment, Homography, Identity
from dsr_nss.models.refine.holistic import HolisticRefinement

__all__ = ['Alignment', 'HolisticRefinement', 'Homography', 'Identity']
