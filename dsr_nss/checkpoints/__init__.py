"""Checkpoint files: read as data, never executed, loaded strictly; start weights of encoders."""

from dsr_nss.checkpoints.mit import convert_mit, load_mit
from dsr_nss.checkpoints.mmengine_loading import restrict_mmengine_loading
from dsr_nss.checkpoints.reading import load_strictly, read_state_dict
from dsr_nss.checkpoints.resnet import convert_resnet, load_resnet
from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.errors import CheckpointError

restrict_mmengine_loading()

__all__ = [
    'CheckpointError',
    'convert_mit',
    'convert_resnet',
    'load_checkpoint_file',
    'load_mit',
    'load_resnet',
    'load_strictly',
    'read_state_dict',
]
