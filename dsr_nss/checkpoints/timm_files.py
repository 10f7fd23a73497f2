"""Published weights of foundation encoders: DINOv2, DINOv3, EUPE and what else timm builds.

Layouts, told apart by their names:

- timm's own files;
- the files of the DINOv2 and DINOv3 repositories (torch.hub), ViT and ConvNeXt;
- the files of `transformers` for DINOv2 and DINOv3 ViT;
- the encoder of this package, alone.

The encoder may lie under a prefix. The mask token, which timm has no place for, is kept.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from dsr_nss.checkpoints.reading import entries_below, load_strictly, prefixes_of, read_state_dict
from dsr_nss.errors import CheckpointError

#: Entry that an encoder of each layout has once.
MARKS = (
    'patch_embed.proj.weight',
    'embeddings.patch_embeddings.projection.weight',
    'embeddings.patch_embeddings.weight',
    'downsample_layers.0.0.weight',
    'stem.0.weight',
)
OWN = 'timm_model.'

#: Names of transformers -> those of the hub files.
TRANSFORMERS = (
    (r'embeddings\.patch_embeddings\.(?:projection\.)?', 'patch_embed.proj.'),
    (r'embeddings\.position_embeddings', 'pos_embed'),
    (r'embeddings\.', ''),
    (r'(?:encoder\.|model\.)?layer\.', 'blocks.'),
    (r'layernorm\.', 'norm.'),
    (r'(.*)\.layer_scale(\d)\.lambda1', r'\1.ls\2.gamma'),
    (r'(blocks\.\d+)\.attention\.(?:output\.dense|o_proj)\.', r'\1.attn.proj.'),
    (r'(blocks\.\d+)\.attention\.(?:attention\.)?(q|k|v)(?:uery|ey|alue|_proj)\.', r'\1.attn.\2.'),
    (r'(.*)\.mlp\.weights_in\.', r'\1.mlp.fc1.'),
    (r'(.*)\.mlp\.weights_out\.', r'\1.mlp.fc2.'),
    (r'(.*)\.mlp\.gate_proj\.', r'\1.mlp.fc1_g.'),
    (r'(.*)\.mlp\.down_proj\.', r'\1.mlp.fc2.'),
)
#: Names of the hub files -> timm's, beside those that tell DINOv2 from DINOv3.
HUB = (
    (r'(?:register_tokens|storage_tokens)$', 'reg_token'),
    (r'(.*)\.mlp\.w12\.', r'\1.mlp.fc1.'),
    (r'(.*)\.mlp\.w1\.', r'\1.mlp.fc1_g.'),
    (r'(.*)\.mlp\.w2\.', r'\1.mlp.fc1_x.'),
    (r'(.*)\.mlp\.w3\.', r'\1.mlp.fc2.'),
    (r'downsample_layers\.0\.', 'stem.'),
    (r'downsample_layers\.(\d)\.', r'stages.\1.downsample.'),
    (r'stages\.(\d)\.(\d+)\.', r'stages.\1.blocks.\2.'),
    (r'(.*)\.dwconv\.', r'\1.conv_dw.'),
    (r'(.*)\.pwconv(\d)\.', r'\1.mlp.fc\2.'),
)
#: What the layouts hold beside the encoder: classifiers, heads of the pretraining, and tables that
#: are computed anew.
UNUSED = (
    r'(head|attn_pool|classifier|projectors|local_cls_norm)\.'
    r'|rope(_embed|_embeddings|)\.(?!freqs$)|.*\.bias_mask$'  # timm's `rope.freqs` are learnt
)
#: The norm of the pooled features, which a pyramid does not use.
POOLED = r'norms?\.'


def load_timm(encoder: nn.Module, path: str | Path, prefix: str = '') -> None:
    """Load a published file into a `TimmViT` or a `TimmConvNeXt`.

    Args:
        encoder: The encoder.
        path: A local file in one of the layouts above, of `torch.save` or of safetensors.
        prefix: Beginning of the names of the encoder, where the file holds several.

    Raises:
        FileNotFoundError: No such file; the message says where to get it, under which licence, and
            how to do without.
        CheckpointError: Not a file of such an encoder, or one of another size.
    """
    state_dict = read_state_dict(path, missing_hint(str(encoder.model_name)), prefix)
    own = encoder.state_dict()
    try:
        converted = without_zero_biases(convert_timm(state_dict), own)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error
    if 'mask_token' in own:  # timm's files have none
        converted.setdefault('mask_token', torch.zeros_like(own['mask_token']))
    load_strictly(encoder, converted, path)


def missing_hint(model_name: str) -> str:
    """Where to get the weights of a network of timm, under which licence, and how to do without."""
    published = timm.get_pretrained_cfg(model_name)
    record = {} if published is None else published.to_dict()
    hub = record.get('hf_hub_id')
    known = (record.get('url'), hub and f'https://huggingface.co/{hub}')
    addresses = [str(address) for address in known if address] or ['its authors']
    licence = record.get('license') or 'not stated'
    if 'dinov3' in licence:
        addresses.append('https://github.com/facebookresearch/dinov3')
        licence += ', which must be accepted there first'
    return (
        f'Get the weights of {model_name} from {" or ".join(addresses)} '
        f'(licence: {licence}) and place the file there; or let the Hugging Face client fetch '
        'them with `--cfg-options model.student.backbone.init_cfg=None '
        '+model.student.backbone.pretrained=hub`; or start from random weights with '
        '`--cfg-options model.student.backbone.init_cfg=None`'
    )


def convert_timm(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder of a published state dict, under the names of `TimmViT` and `TimmConvNeXt`.

    Args:
        state_dict: Any of the layouts above.

    Returns:
        `timm_model.*` and, where the file has one, `mask_token` `(1, D)`. What is no part of the
        encoder is left out; names that no such encoder has stay, so that they are reported.

    Raises:
        CheckpointError: No such encoder among the names, or several.
    """
    prefix = _prefix(state_dict)
    encoder = entries_below(prefix, state_dict)
    outer = prefix.removesuffix(OWN) + 'mask_token'
    if prefix.endswith(OWN) and outer in state_dict:
        encoder['mask_token'] = state_dict[outer]
    gated = any('.mlp.gate_proj.' in name for name in encoder)
    up = (r'(.*)\.mlp\.up_proj\.', r'\1.mlp.fc1_x.' if gated else r'\1.mlp.fc1.')
    encoder = _join_attention(_renamed(encoder, (*TRANSFORMERS, up)))
    mask_token = encoder.pop('mask_token', None)
    converted = {f'{OWN}{k}': v for k, v in _from_hub(encoder).items()}
    if mask_token is not None:
        converted['mask_token'] = mask_token.reshape(1, -1)
    return converted


def without_zero_biases(
    converted: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Without the biases of queries and values, if the network has none and they are all zero.

    Args:
        converted: What `convert_timm` returned.
        own: State dict of the network.

    Raises:
        CheckpointError: They are not zero, so the network would compute something else.
    """
    biases = [k for k in converted if k.endswith(('.q_bias', '.v_bias')) and k not in own]
    if any(converted[name].any() for name in biases):
        raise CheckpointError(
            'its queries and values have biases, which the network has no place for: use the model '
            "name of timm that ends with '_qkvb'"
        )
    return {name: value for name, value in converted.items() if name not in biases}


def _prefix(state_dict: Mapping[str, Tensor]) -> str:
    found = {prefix for mark in MARKS for prefix in prefixes_of(mark, state_dict)}
    if len(found) != 1:
        listed = ', '.join(map(repr, sorted(found))) or 'none'
        raise CheckpointError(
            f'expected one encoder, with an entry that ends with {" or ".join(map(repr, MARKS))}; '
            f'found under the prefixes: {listed}'
        )
    return found.pop()


def _renamed(state: Mapping[str, Tensor], rules: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in state.items():
        for pattern, replacement in rules:
            match = re.match(pattern, name)
            if match:
                name = match.expand(replacement) + name[match.end() :]
        renamed[name] = tensor
    return renamed


def _join_attention(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Queries, keys and values of transformers in one matrix; DINOv3's keys have no bias."""
    joined = dict(state)
    for name in state:
        if not name.endswith('.attn.q.weight'):
            continue
        attention = name.removesuffix('q.weight')
        parts = [joined.pop(f'{attention}{part}.weight', None) for part in 'qkv']
        if all(part is not None for part in parts):
            joined[f'{attention}qkv.weight'] = torch.cat(parts)
        biases = {part: joined.pop(f'{attention}{part}.bias', None) for part in 'qkv'}
        if all(bias is not None for bias in biases.values()):
            joined[f'{attention}qkv.bias'] = torch.cat(list(biases.values()))
            continue
        for part, bias in biases.items():
            if bias is not None:
                joined[f'{attention}{part}_bias'] = bias
    return joined


def _from_hub(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """timm's names; what has them already stays."""
    rotary = 'pos_embed' not in state and 'cls_token' in state
    hub = 'storage_tokens' in state  # of DINOv3 or EUPE
    pyramid = any(name.startswith(('stem.', 'downsample_layers.')) for name in state)
    converted: dict[str, Tensor] = {}
    for name, tensor in _renamed(state, HUB).items():
        if re.match(UNUSED, name) or (pyramid and re.match(POOLED, name)):
            continue
        if hub and name.endswith('.attn.qkv.bias'):
            attention = name.removesuffix('qkv.bias')
            query, _, value = tensor.chunk(3)  # the key's is masked out
            converted |= {f'{attention}q_bias': query, f'{attention}v_bias': value}
        elif rotary and re.match(r'.*\.ls\d\.gamma$', name):
            converted[re.sub(r'ls(\d)\.gamma$', r'gamma_\1', name)] = tensor
        else:
            converted[name] = tensor
    if 'register_tokens' in state and 'pos_embed' in state:  # timm's table has no class token
        converted['cls_token'] = state['cls_token'] + state['pos_embed'][:, :1]
        converted['pos_embed'] = state['pos_embed'][:, 1:]
    return converted
