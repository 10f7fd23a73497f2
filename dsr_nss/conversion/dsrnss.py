"""Checkpoints of the DSR-NSS authors (all four networks), to the names of this package."""

from collections.abc import Mapping

from torch import Tensor

from dsr_nss.conversion.segformer import convert_head_entry
from dsr_nss.errors import CheckpointError

BACKBONE, HEAD, ATTENTION = 'backbone.', 'head.', 'hrda_scale_attention.'
#: The branches of their DeepLabv2 head.
DEEPLABV2_BRANCHES = 'conv2d_list.'
#: What the names of a ResNet begin with; in their RefineNet the decoder lies beside it.
RESNET_PARTS = ('conv1.', 'bn1.', 'layer1.', 'layer2.', 'layer3.', 'layer4.')
REFINENET_MARKS = ('backbone.clf_conv.', 'backbone.mflow_conv_')


def convert_dsrnss(state_dict: Mapping[str, Tensor], network: str = 'student') -> dict[str, Tensor]:
    """One network of an authors' checkpoint as the state dict of a segmentor.

    Args:
        state_dict: Name -> weights `(...)`, the `state_dict` entry of the file.
        network: 'student' or 'teacher'.

    Returns:
        `backbone.*` and `decode_head.*` for `HRDAEncoderDecoder` when the file holds a scale
        attention, else for `AdaptableEncoderDecoder` with the head that the file holds: a
        `DAFormerHead`, a `DeepLabV2Head` or a `RefineNetHead`. Names that none of them has are left
        as they are, so that loading reports them.

    Raises:
        ValueError: Another network is asked for.
        CheckpointError: The file holds no entries of the network.
    """
    if network not in ('student', 'teacher'):
        raise ValueError(f"network must be 'student' or 'teacher', got {network!r}")
    prefix = '' if network == 'student' else 'm_'
    parts = tuple(prefix + part for part in (BACKBONE, HEAD, ATTENTION))
    entries = {
        name.removeprefix(prefix): tensor
        for name, tensor in state_dict.items()
        if name.startswith(parts)
    }
    if not entries:
        raise CheckpointError(
            f'no entries of the {network} ({prefix}backbone.*, {prefix}head.*): no checkpoint '
            "in the DSR-NSS authors' layout"
        )
    if any(name.startswith(REFINENET_MARKS) for name in entries):
        return {_refinenet_name(name): tensor for name, tensor in entries.items()}
    has_attention = any(name.startswith(ATTENTION) for name in entries)
    head = 'decode_head.head.' if has_attention else 'decode_head.'
    converted: dict[str, Tensor] = {}
    for name, tensor in entries.items():
        if name.startswith(BACKBONE):
            converted[name] = tensor
        elif name.startswith(HEAD):
            own = name.removeprefix(HEAD).replace(DEEPLABV2_BRANCHES, 'branches.')
            converted[head + own] = tensor
        else:
            own, tensor = convert_head_entry(name.removeprefix(ATTENTION), tensor)
            converted[f'decode_head.scale_attention.{own}'] = tensor
    return converted


def _refinenet_name(name: str) -> str:
    inner = name.removeprefix(BACKBONE)
    if inner.startswith(RESNET_PARTS):
        return name
    module, _, kind = inner.rpartition('.')
    if module not in REFINENET_NAMES:
        return name
    return f'decode_head.{REFINENET_NAMES[module]}.{kind}'


def _refinenet_names() -> dict[str, str]:
    """Modules of the published decoder, numbered coarse to fine -> those of `RefineNetHead`."""
    names = {'clf_conv': 'conv_seg'}
    for number in range(1, 5):
        path = f'paths.{4 - number}'
        names[f'p_ims1d2_outl{number}_dimred'] = f'{path}.reduce'
        for theirs, ours, units in (
            (f'adapt_stage{number}_b', 'adapt', 2),
            (f'mflow_conv_g{number}_b', 'output', 3),
        ):
            for i in range(units):
                unit = f'{path}.{ours}.{i}'
                names[f'{theirs}.0.{i + 1}_conv'] = f'{unit}.conv1'
                names[f'{theirs}.0.{i + 1}_conv_relu_varout_dimred'] = f'{unit}.conv2'
        for i in range(4):
            pooling = f'mflow_conv_g{number}_pool.0.{i + 1}_outvar_dimred'
            names[pooling] = f'{path}.pooling.convs.{i}'
        if number > 1:
            names[f'adapt_stage{number}_b2_joint_varout_dimred'] = f'{path}.fusion.fine'
            # theirs ends the coarser path with the convolution that ours begins the fusion with
            names[f'mflow_conv_g{number - 1}_b3_joint_varout_dimred'] = f'{path}.fusion.coarse'
    return names


REFINENET_NAMES = _refinenet_names()
