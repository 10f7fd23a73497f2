"""The config to test a checkpoint with that brings its own."""

from pathlib import Path

from mmengine.config import Config

from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.conversion.config import whole_config
from dsr_nss.conversion.config_text import format_config
from dsr_nss.inference.saved_network import config_in_file


def own_config(checkpoint: str | Path) -> Config:
    """A config with the network of a checkpoint and the published night sets.

    The network, and what is done to an image, are taken out of the config in the file
    (`config_in_file`). Test sets never are: they are the published ones below `data/`, where the
    network has the classes of Cityscapes, or none; an image of them is treated as that config says.

    Args:
        checkpoint: The file; it is read as data, nothing in it is executed.

    Raises:
        FileNotFoundError: No such file.
        CheckpointError: The file is damaged, or could run code.
        ConfigError: It carries no config, or one that is refused.
    """
    saved = config_in_file(load_checkpoint_file(checkpoint), checkpoint)._cfg_dict.to_dict()
    fields = whole_config(saved['model'], test_pipeline=saved['test_pipeline'] or None)
    text = format_config(fields, f'The network of {checkpoint}.')
    return Config(fields, cfg_text=text, filename=str(checkpoint))
