"""Weight files of DINOv2 and DINOv3 by names and shapes, with random values."""

import re

import torch
from torch import Tensor


def hub_file(kind: str, width: int = 384, depth: int = 12, seed: int = 0) -> dict[str, Tensor]:
    """`kind`: 'dinov2', 'dinov2_reg' or 'dinov3'."""
    side = 16 if kind == 'dinov3' else 14
    shapes = {
        'cls_token': (1, 1, width),
        'mask_token': (1, width),
        'patch_embed.proj.weight': (width, 3, side, side),
        'patch_embed.proj.bias': (width,),
        'norm.weight': (width,),
        'norm.bias': (width,),
    }
    if kind == 'dinov3':
        shapes['storage_tokens'] = (1, 4, width)
    else:
        shapes['pos_embed'] = (1, 37 * 37 + 1, width)
    if kind == 'dinov2_reg':
        shapes['register_tokens'] = (1, 4, width)
    for i in range(depth):
        block = f'blocks.{i}'
        for name, rows, columns in (
            ('attn.qkv', 3 * width, width),
            ('attn.proj', width, width),
            ('mlp.fc1', 4 * width, width),
            ('mlp.fc2', width, 4 * width),
        ):
            shapes[f'{block}.{name}.weight'] = (rows, columns)
            shapes[f'{block}.{name}.bias'] = (rows,)
        for name in ('norm1.weight', 'norm1.bias', 'norm2.weight', 'norm2.bias'):
            shapes[f'{block}.{name}'] = (width,)
        shapes[f'{block}.ls1.gamma'] = shapes[f'{block}.ls2.gamma'] = (width,)
    generator = torch.Generator().manual_seed(seed)
    state = {
        name: torch.empty(shape).normal_(std=0.5 if len(shape) == 1 else 0.05, generator=generator)
        for name, shape in shapes.items()
    }
    if kind == 'dinov3':
        state['rope_embed.periods'] = torch.rand(width // 6 // 4)
        for i in range(depth):  # the bias of keys is masked out
            bias = state[f'blocks.{i}.attn.qkv.bias']
            bias[width : 2 * width] = 0
            state[f'blocks.{i}.attn.qkv.bias_mask'] = (bias != 0).float()
    return state


def as_transformers(state: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    """The same network as `transformers` writes it."""
    named = {}
    for name, tensor in state.items():
        block = re.match(r'blocks\.(\d+)\.(.*)\.(\w+)$', name)
        if name.endswith(('periods', 'bias_mask')):
            continue
        if block is None:
            named[outer_name(name, kind)] = tensor[None] if name == 'mask_token' else tensor
            continue
        layer = f'layer.{block[1]}' if kind == 'dinov3' else f'encoder.layer.{block[1]}'
        module, entry = block[2], block[3]
        if module == 'attn.qkv':
            for part, value in zip(('query', 'key', 'value'), tensor.chunk(3), strict=True):
                if kind != 'dinov3':
                    named[f'{layer}.attention.attention.{part}.{entry}'] = value
                elif (part, entry) != ('key', 'bias'):
                    named[f'{layer}.attention.{part[0]}_proj.{entry}'] = value
            continue
        named[f'{layer}.{inner_name(module, kind)}.{entry.replace("gamma", "lambda1")}'] = tensor
    if kind != 'dinov3':
        named['embeddings.mask_token'] = named['embeddings.mask_token'][0]
    return named


def outer_name(name: str, kind: str) -> str:
    if name.startswith('norm.'):
        return name if kind == 'dinov3' else f'layer{name}'
    projection = '' if kind == 'dinov3' else 'projection.'
    name = name.replace('patch_embed.proj.', f'patch_embeddings.{projection}')
    name = name.replace('storage_tokens', 'register_tokens')
    return 'embeddings.' + name.replace('pos_embed', 'position_embeddings')


def inner_name(module: str, kind: str) -> str:
    v3 = kind == 'dinov3'
    return {
        'attn.proj': 'attention.o_proj' if v3 else 'attention.output.dense',
        'mlp.fc1': 'mlp.up_proj' if v3 else 'mlp.fc1',
        'mlp.fc2': 'mlp.down_proj' if v3 else 'mlp.fc2',
        'ls1': 'layer_scale1',
        'ls2': 'layer_scale2',
    }.get(module, module)
