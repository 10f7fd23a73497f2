"""Checkpoints of the DSR-NSS authors (DAFormer and HRDA), to the names of this package."""

from collections.abc import Mapping

import torch
from torch import Tensor

from dsr_nss.checkpoints.safe_load import CheckpointError

ATTENTION = 'hrda_scale_attention.'
#: Their modules of the scale attention -> those of `DAFormerHead` with `fusion='conv1x1'`.
ATTENTION_NAMES = {
    **{f'linear_c{i + 1}.proj': f'embed_layers.{i}.proj' for i in range(4)},
    'linear_fuse.conv': 'fuse_layer.conv',
    'linear_fuse.bn': 'fuse_layer.bn',
    'linear_pred': 'conv_seg',
}


def convert_dsrnss(state_dict: Mapping[str, Tensor], network: str = 'student') -> dict[str, Tensor]:
    """One network of an authors' checkpoint as the state dict of a segmentor.

    Args:
        state_dict: The `state_dict` entry of the file.
        network: 'student' or 'teacher'.

    Returns:
        `backbone.*` and `decode_head.*` for `HRDAEncoderDecoder` when the file holds a scale
        attention, else for `AdaptableEncoderDecoder`.

    Raises:
        ValueError: Another network is asked for.
        CheckpointError: The file holds no entries of the network, or some of another layout.
    """
    if network not in ('student', 'teacher'):
        raise ValueError(f"network must be 'student' or 'teacher', got {network!r}")
    prefix = '' if network == 'student' else 'm_'
    has_attention = any(name.startswith(prefix + ATTENTION) for name in state_dict)
    head = 'decode_head.head.' if has_attention else 'decode_head.'
    converted: dict[str, Tensor] = {}
    for name, tensor in state_dict.items():
        if not name.startswith(prefix):
            continue
        name = name.removeprefix(prefix)
        if name.startswith('backbone.'):
            converted[name] = tensor
        elif name.startswith('head.'):
            converted[head + name.removeprefix('head.')] = tensor
        elif name.startswith(ATTENTION):
            module, _, kind = name.removeprefix(ATTENTION).rpartition('.')
            if module not in ATTENTION_NAMES:
                raise CheckpointError(f'unknown name {name!r} in a scale attention')
            if module == 'linear_fuse.conv':
                tensor = _reverse_levels(tensor)
            converted[f'decode_head.scale_attention.{ATTENTION_NAMES[module]}.{kind}'] = tensor
    if not converted:
        raise CheckpointError(
            f'no entries of the {network} ({prefix}backbone.*, {prefix}head.*): no checkpoint '
            "in the DSR-NSS authors' layout"
        )
    return converted


def _reverse_levels(weight: Tensor) -> Tensor:
    """Input channels from coarse-to-fine to fine-to-coarse: they concatenate the four levels so."""
    return torch.cat(weight.chunk(4, dim=1)[::-1], dim=1)
