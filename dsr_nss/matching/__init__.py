"""Dense matching with uncertainty: from two images to flow and log-variance at four levels."""

from dsr_nss.matching.appearance import AppearanceChange
from dsr_nss.matching.head import FlowEstimate, UAWarpCHead
from dsr_nss.matching.image_pairs import MegaDepthPairs, PairList, ReferencePairs
from dsr_nss.matching.loftr import LoFTR
from dsr_nss.matching.network import MatchingNetwork
from dsr_nss.matching.pairs import ImagePairPreprocessor, ImagePairs
from dsr_nss.matching.pyramid import BackbonePyramid, VGG16Pyramid
from dsr_nss.matching.synthetic_warps import SyntheticWarps
from dsr_nss.matching.uawarpc import UAWarpC
from dsr_nss.matching.warp_consistency import WarpConsistency
from dsr_nss.matching.xfeat import XFeat

__all__ = [
    'AppearanceChange',
    'BackbonePyramid',
    'FlowEstimate',
    'ImagePairPreprocessor',
    'ImagePairs',
    'LoFTR',
    'MatchingNetwork',
    'MegaDepthPairs',
    'PairList',
    'ReferencePairs',
    'SyntheticWarps',
    'UAWarpC',
    'UAWarpCHead',
    'VGG16Pyramid',
    'WarpConsistency',
    'XFeat',
]
