"""Nightscape: a procedural day/night street scene set in the folder layouts of the real sets."""

from dsr_nss.nightscape.generate import Settings, generate, parse_size
from dsr_nss.nightscape.version import NIGHTSCAPE_VERSION

__all__ = ['NIGHTSCAPE_VERSION', 'Settings', 'generate', 'parse_size']
