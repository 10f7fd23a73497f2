"""Dense matching with uncertainty: from two images to flow and log-variance at four levels."""

from dsr_nss.models.matching.head import FlowEstimate, UAWarpCHead
from dsr_nss.models.matching.network import MatchingNetwork
from dsr_nss.models.matching.pyramid import BackbonePyramid, VGG16Pyramid

__all__ = ['BackbonePyramid', 'FlowEstimate', 'MatchingNetwork', 'UAWarpCHead', 'VGG16Pyramid']
