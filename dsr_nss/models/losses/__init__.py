"""Losses beside those of mmseg."""

from dsr_nss.models.losses.feature_distance import FeatureDistance

__all__ = ['FeatureDistance']
