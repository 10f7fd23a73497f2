"""Published weight files in, the names of this package out."""

from dsr_nss.checkpoints.dsrnss import convert_dsrnss
from dsr_nss.checkpoints.lhoyer import convert_lhoyer
from dsr_nss.checkpoints.mit import convert_mit, load_mit
from dsr_nss.checkpoints.mmengine_loading import restrict_mmengine_loading
from dsr_nss.checkpoints.reading import load_strictly, read_state_dict
from dsr_nss.checkpoints.resnet import convert_resnet, load_resnet
from dsr_nss.checkpoints.safe_load import CheckpointError, load_checkpoint_file
from dsr_nss.checkpoints.segformer import convert_segformer

restrict_mmengine_loading()

__all__ = [
    'CheckpointError',
    'convert_dsrnss',
    'convert_lhoyer',
    'convert_mit',
    'convert_resnet',
    'convert_segformer',
    'load_checkpoint_file',
    'load_mit',
    'load_resnet',
    'load_strictly',
    'read_state_dict',
]
