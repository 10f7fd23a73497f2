"""Published weight files in, the names of this package out."""

from dsr_nss.checkpoints.dsrnss import convert_dsrnss
from dsr_nss.checkpoints.mit import convert_mit, load_mit
from dsr_nss.checkpoints.reading import load_strictly, read_state_dict
from dsr_nss.checkpoints.safe_load import CheckpointError, load_checkpoint_file

__all__ = [
    'CheckpointError',
    'convert_dsrnss',
    'convert_mit',
    'load_checkpoint_file',
    'load_mit',
    'load_strictly',
    'read_state_dict',
]
