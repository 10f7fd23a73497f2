"""Dense matching with uncertainty: from two images to flow and log-variance at four levels."""

from dsr_nss.models.matching.appearance import AppearanceChange
from dsr_nss.models.matching.head import FlowEstimate, UAWarpCHead
from dsr_nss.models.matching.network import MatchingNetwork
from dsr_nss.models.matching.pairs import ImagePairPreprocessor, ImagePairs
from dsr_nss.models.matching.pyramid import BackbonePyramid, VGG16Pyramid
from dsr_nss.models.matching.synthetic_warps import SyntheticWarps
from dsr_nss.models.matching.warp_consistency import WarpConsistency

__all__ = [
    'AppearanceChange',
    'BackbonePyramid',
    'FlowEstimate',
    'ImagePairPreprocessor',
    'ImagePairs',
    'MatchingNetwork',
    'SyntheticWarps',
    'UAWarpCHead',
    'VGG16Pyramid',
    'WarpConsistency',
]
