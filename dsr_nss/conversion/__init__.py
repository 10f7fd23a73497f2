"""Published checkpoints in, plain mmseg ones out."""

from dsr_nss.conversion.dsrnss import convert_dsrnss
from dsr_nss.conversion.lhoyer import convert_lhoyer
from dsr_nss.conversion.segformer import convert_segformer

__all__ = ['convert_dsrnss', 'convert_lhoyer', 'convert_segformer']
