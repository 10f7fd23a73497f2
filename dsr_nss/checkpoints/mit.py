"""Published MiT weights: the SegFormer authors' files and mmseg's conversions of them.

Four layouts are told apart by their names:

- an encoder trained on ImageNet: the names of `MiT`, and a classifier `head.*`;
- a segmentation network, such as SegFormer trained on Cityscapes: the encoder under `backbone.`;
- mmseg: `layers.<stage>.<part>...`, with or without `backbone.`, the projections of query, key and
  value in one matrix and the feed-forward layers as 1x1 convolutions;
- the `transformers` package: `segformer.encoder.*` (see `dsr_nss.checkpoints.mit_huggingface`).
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor, nn

from dsr_nss.checkpoints.mit_huggingface import convert_huggingface
from dsr_nss.checkpoints.reading import entries_below, load_strictly, prefixes_of, read_state_dict
from dsr_nss.errors import CheckpointError

OWN_MARK = 'patch_embed1.proj.weight'
MMSEG_MARK = 'layers.0.0.projection.weight'
HUGGINGFACE_MARK = 'patch_embeddings.0.proj.weight'

HINT = (
    'Get it from the SegFormer authors (on Cityscapes: segformer.b5.1024x1024.city.160k.pth, on '
    'ImageNet: mit_b0.pth ... mit_b5.pth) or from mmseg (another training on Cityscapes: '
    'segformer_mit-b5_8x1_1024x1024_160k_cityscapes_*.pth, on ImageNet: mit_b*.pth) and place it '
    'there, or start from random weights with `--cfg-options model.student.backbone.init_cfg=None '
    'model.feature_distance=None`'
)


def load_mit(encoder: nn.Module, path: str | Path, prefix: str = '') -> None:
    """Load a published file into a `MiT`.

    Args:
        encoder: The `dsr_nss.models.backbones.MiT` of the same arch.
        path: A file in one of the layouts above.
        prefix: Where the encoder lies, for files that hold several, as this package's runs do:
            `'student.backbone.'`, `'teacher.model.backbone.'`.

    Raises:
        FileNotFoundError: No such file; the message says where to get it and how to do without.
        CheckpointError: Not a MiT file, or one of another arch.
    """
    state_dict = read_state_dict(path, HINT, prefix)
    try:
        converted = convert_mit(state_dict)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error
    load_strictly(encoder, converted, path)


def convert_mit(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder of a published state dict, under the names of `MiT`.

    Args:
        state_dict: Any of the layouts above.

    Returns:
        The entries of the encoder alone; its classifier and everything beside it are left out.
        Names that no such encoder has are left as they are.

    Raises:
        CheckpointError: No MiT encoder among the names, or several.
    """
    found = {
        (prefix, mark): convert
        for mark, convert in _LAYOUTS.items()
        for prefix in prefixes_of(mark, state_dict)
    }
    if len(found) != 1:
        places = ', '.join(repr(prefix) for prefix, _ in found) or 'none'
        raise CheckpointError(
            'expected one MiT encoder, with an entry that ends with '
            f'{" or ".join(map(repr, _LAYOUTS))}; found under the prefixes: {places}. Of several, '
            'init_cfg.prefix names the one'
        )
    (((prefix, _), convert),) = found.items()
    encoder = entries_below(prefix, state_dict)
    return convert({name: t for name, t in encoder.items() if not name.startswith('head.')})


#: Names inside a block that only change their name.
BLOCK_NAMES = {
    'attn.attn.out_proj': 'attn.proj',
    'attn.sr': 'attn.sr',
    'attn.norm': 'attn.norm',
    'norm1': 'norm1',
    'norm2': 'norm2',
    'ffn.layers.0': 'mlp.fc1',
    'ffn.layers.1': 'mlp.dwconv.dwconv',
    'ffn.layers.4': 'mlp.fc2',
}


def _convert_mmseg(encoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    converted: dict[str, Tensor] = {}
    for name, tensor in encoder.items():
        match = re.fullmatch(r'layers\.(\d)\.([012])\.(.+)', name)
        if match is None:
            converted[name] = tensor
            continue
        stage, part, rest = int(match[1]) + 1, match[2], match[3]
        if part == '0':
            converted[f'patch_embed{stage}.{rest.replace("projection", "proj")}'] = tensor
        elif part == '2':
            converted[f'norm{stage}.{rest}'] = tensor
        else:
            index, inner = rest.split('.', 1)
            converted.update(_convert_mmseg_block(f'block{stage}.{index}', inner, tensor))
    return converted


def _convert_mmseg_block(block: str, name: str, tensor: Tensor) -> dict[str, Tensor]:
    if name.startswith('attn.attn.in_proj_'):
        kind = name.removeprefix('attn.attn.in_proj_')
        channels = len(tensor) // 3
        return {
            f'{block}.attn.q.{kind}': tensor[:channels],
            f'{block}.attn.kv.{kind}': tensor[channels:],
        }
    module, _, kind = name.rpartition('.')
    target = BLOCK_NAMES.get(module, module)
    if target in ('mlp.fc1', 'mlp.fc2') and kind == 'weight':
        tensor = tensor.flatten(1)
    return {f'{block}.{target}.{kind}': tensor}


#: The entry that tells each layout, and what brings it to the names of `MiT`.
_LAYOUTS: dict[str, Callable[[Mapping[str, Tensor]], dict[str, Tensor]]] = {
    OWN_MARK: dict,
    MMSEG_MARK: _convert_mmseg,
    HUGGINGFACE_MARK: convert_huggingface,
}
