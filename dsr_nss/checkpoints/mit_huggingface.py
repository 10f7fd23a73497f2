"""SegFormer's encoder as the `transformers` package names it."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from dsr_nss.errors import CheckpointError

#: Names inside a block -> those of `MiT`, where keys and values are one matrix.
_BLOCK = {
    'layer_norm_1': 'norm1',
    'attention.self.query': 'attn.q',
    'attention.self.sr': 'attn.sr',
    'attention.self.layer_norm': 'attn.norm',
    'attention.output.dense': 'attn.proj',
    'layer_norm_2': 'norm2',
    'mlp.dense1': 'mlp.fc1',
    'mlp.dwconv.dwconv': 'mlp.dwconv.dwconv',
    'mlp.dense2': 'mlp.fc2',
}
_KEY, _VALUE = 'attention.self.key', 'attention.self.value'


def convert_huggingface(encoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries below `segformer.encoder.` under the names of `MiT`.

    Names that no such encoder has are left as they are.

    Raises:
        CheckpointError: A block has keys without values.
    """
    converted: dict[str, Tensor] = {}
    for name, tensor in encoder.items():
        module, _, kind = name.rpartition('.')
        if found := re.fullmatch(r'patch_embeddings\.(\d)\.(proj|layer_norm)', module):
            part = 'proj' if found[2] == 'proj' else 'norm'
            converted[f'patch_embed{int(found[1]) + 1}.{part}.{kind}'] = tensor
        elif found := re.fullmatch(r'layer_norm\.(\d)', module):
            converted[f'norm{int(found[1]) + 1}.{kind}'] = tensor
        elif found := re.fullmatch(r'block\.(\d)\.(\d+)\.(.+)', module):
            block, part = f'block{int(found[1]) + 1}.{found[2]}', found[3]
            if part == _KEY:
                value = encoder.get(f'{module.removesuffix("key")}value.{kind}')
                if value is None:
                    raise CheckpointError(f'{name} has no entry of the values beside it')
                converted[f'{block}.attn.kv.{kind}'] = torch.cat([tensor, value])
            elif part != _VALUE:
                converted[f'{block}.{_BLOCK.get(part, part)}.{kind}'] = tensor
        else:
            converted[name] = tensor
    return converted
