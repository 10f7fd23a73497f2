"""Files of foundation encoders, and of VFM-UDA's networks on them (PyTorch Lightning)."""

from collections.abc import Mapping
from typing import Any

import timm
import torch
from torch import Tensor

from dsr_nss.checkpoints.timm_files import convert_timm, without_zero_biases
from dsr_nss.errors import CheckpointError

PREFIXES = {'student': 'network.', 'teacher': 'network_ema.'}
#: VFM-UDA's modules -> those of a segmentor on a `TimmViT` with a `LightHead`.
HEAD = {'upscale.': 'decode_head.upscale.', 'out.': 'decode_head.conv_seg.'}
#: What it does to an image and to DINOv2's positions.
VFM_UDA_ENCODER: dict[str, Any] = dict(scale=1.1, positions='hub')

SIZES = {192: 'tiny', 384: 'small', 768: 'base', 1024: 'large', 1280: 'huge', 1536: 'giant'}
#: (width of the stem, blocks of the third stage) of ConvNeXt.
PYRAMIDS = {(96, 9): 'tiny', (96, 27): 'small', (128, 27): 'base', (192, 27): 'large'}


def convert_encoder(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An encoder alone as the state dict of a `TimmViT` or a `TimmConvNeXt`.

    Biases of queries and values that are all zero are left out, as most networks of timm have no
    place for them. Without a mask token in the file it is zero.
    """
    converted = convert_timm(state_dict)
    try:
        converted = without_zero_biases(converted, {})
    except CheckpointError:  # they are not zero: the network of timm that has them is taken
        pass
    if 'timm_model.cls_token' in converted:
        width = converted['timm_model.cls_token'].shape[-1]
        converted.setdefault('mask_token', torch.zeros(1, width))
    return converted


def convert_vfm_uda(state_dict: Mapping[str, Tensor], network: str) -> dict[str, Tensor]:
    """One network of a training checkpoint as the state dict of a segmentor.

    Args:
        state_dict: The entries of that network alone.
        network: 'student' or 'teacher'.
    """
    state = {k.removeprefix(PREFIXES[network]): v for k, v in state_dict.items()}
    encoder = {k: v for k, v in state.items() if k.startswith('encoder.')}
    token = state.pop('token_masking.mask_token', None)
    if token is not None:  # the one that training used; the encoder's own is a copy of the start
        encoder['encoder.mask_token'] = token
    converted = {f'backbone.{k}': v for k, v in convert_encoder(encoder).items()}
    for name, value in state.items():
        prefix = next((part for part in HEAD if name.startswith(part)), None)
        if prefix:
            converted[HEAD[prefix] + name.removeprefix(prefix)] = value
        elif not name.startswith('encoder.'):
            converted[name] = value
    return converted


def refuse_vfm_uda_plusplus(state_dict: Mapping[str, Tensor], network: str) -> dict[str, Tensor]:
    """Never: its encoder is one that this package does not build.

    Raises:
        CheckpointError: Always.
    """
    raise CheckpointError(
        'is a network of VFM-UDA++: DINOv2 inside a ViT-Adapter with deformable attention, which '
        'this package does not build; networks of VFM-UDA (a plain DINOv2) can be converted'
    )


def told_by_no_name(backbone: Mapping[str, Any], layout: str) -> list[str]:
    """What of an encoder that was told from names is a guess, for the user.

    Args:
        backbone: What `describe_timm` returned.
        layout: Name of the layout that the file has.
    """
    if backbone['type'] != 'TimmViT' or layout == 'vfm-uda':
        return []
    return [
        "scale and position embeddings of a TimmViT leave no trace in a file: timm's positions and "
        'no scale are assumed; where the network was trained otherwise, name its config with '
        '--config'
    ]


def describe_timm(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Config of the encoder that has these entries.

    Raises:
        CheckpointError: A width or depth of no encoder that is known.
    """
    names = {name.removeprefix('timm_model.'): value for name, value in state.items()}
    if 'stem.0.weight' in names:
        stem = names['stem.0.weight'].shape[0]
        depth = len([k for k in names if k.startswith('stages.2.') and k.endswith('conv_dw.bias')])
        size = PYRAMIDS.get((stem, depth))
        found = f'a stem of {stem} and {depth} blocks in its third stage'
        config = dict(type='TimmConvNeXt', model_name=f'convnext_{size}.dinov3_lvd1689m')
    else:
        kernel = names.get('patch_embed.proj.weight', torch.empty(0, 0, 0, 0))
        size, side = SIZES.get(kernel.shape[0]), kernel.shape[-1]
        found = f'a width of {kernel.shape[0]}'
        if 'pos_embed' in names:
            size = size if any(name.endswith('.ls1.gamma') for name in names) else None
            kind = 'reg4_dinov2' if 'reg_token' in names else 'dinov2'
        else:
            kind = 'dinov3_qkvb' if 'blocks.0.attn.q_bias' in names else 'dinov3'
            size = f'{size}_plus' if 'blocks.0.mlp.fc1_g.weight' in names else size
        found += f' and patches of {side} pixels'
        config = dict(type='TimmViT', model_name=f'vit_{size}_patch{side}_{kind}')
    if not timm.is_model(config['model_name']):
        raise CheckpointError(
            f'no encoder of DINOv2 or DINOv3 that is known has {found}; name the config of the '
            'network with --config'
        )
    return config
