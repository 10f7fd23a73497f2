"""DINOv2 and DINOv3 as their papers and files describe them, in float64, from hub-named weights."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.reference.position_embedding import hub_positions, register_positions


def patches(state: dict[str, Tensor], image: Tensor) -> tuple[Tensor, int, int]:
    weight = state['patch_embed.proj.weight']
    maps = F.conv2d(image, weight, state['patch_embed.proj.bias'], stride=weight.shape[-1])
    return maps.flatten(2).transpose(1, 2), *maps.shape[2:]


def norm(state: dict[str, Tensor], name: str, x: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f'{name}.weight'], state[f'{name}.bias'], eps)


def linear(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return x @ state[f'{name}.weight'].T + state.get(f'{name}.bias', 0.0)


def attention(state, name: str, x: Tensor, heads: int, angles: Tensor | None) -> Tensor:
    batch, tokens, width = x.shape
    qkv = linear(state, f'{name}.qkv', x).reshape(batch, tokens, 3, heads, width // heads)
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    if angles is not None:
        query, key = turned(query, angles), turned(key, angles)
    scores = query @ key.transpose(-1, -2) / math.sqrt(width // heads)
    mixed = scores.softmax(dim=-1) @ value
    return linear(state, f'{name}.proj', mixed.transpose(1, 2).reshape(batch, tokens, width))


def turned(x: Tensor, angles: Tensor) -> Tensor:
    """Rotary positions: the last tokens are patches, the first ones have no place."""
    first, rest = x[..., : -len(angles), :], x[..., -len(angles) :, :]
    a, b = rest.chunk(2, dim=-1)
    return torch.cat([first, rest * angles.cos() + torch.cat([-b, a], -1) * angles.sin()], dim=-2)


def rotary_angles(rows: int, columns: int, head_width: int) -> Tensor:
    """`(rows * columns, head_width)`: a quarter of the channels for each axis, then again."""
    y = 2 * (torch.arange(rows).double() + 0.5) / rows - 1
    x = 2 * (torch.arange(columns).double() + 0.5) / columns - 1
    periods = 100 ** (torch.arange(head_width // 4).double() * 4 / head_width)
    places = torch.stack(torch.meshgrid(y, x, indexing='ij'), dim=-1).reshape(-1, 2)
    angles = 2 * math.pi * places[:, :, None] / periods
    return angles.flatten(1).repeat(1, 2)


def last_map(state: dict[str, Tensor], image: Tensor, heads: int) -> Tensor:
    """`(B, D, h, w)` after the final norm; DINOv3 if there is no table of positions."""
    state = {name: value.double() for name, value in state.items()}
    tokens, rows, columns = patches(state, image.double())
    batch, _, width = tokens.shape
    angles, eps = None, 1e-6
    first = [state['cls_token']]
    if 'pos_embed' in state:
        table = state['pos_embed']
        first[0] = first[0] + table[:, :1]
        resample = register_positions if 'register_tokens' in state else hub_positions
        tokens = tokens + torch.from_numpy(resample(table[:, 1:].numpy(), (rows, columns)))
        first += [state['register_tokens']] if 'register_tokens' in state else []
    else:
        first.append(state['storage_tokens'])
        angles, eps = rotary_angles(rows, columns, width // heads), 1e-5
    x = torch.cat([*(token.expand(batch, -1, -1) for token in first), tokens], dim=1)
    for i in range(1 + max(int(k.split('.')[1]) for k in state if k.startswith('blocks.'))):
        block = f'blocks.{i}'
        y = attention(state, f'{block}.attn', norm(state, f'{block}.norm1', x, eps), heads, angles)
        x = x + state[f'{block}.ls1.gamma'] * y
        y = linear(state, f'{block}.mlp.fc1', norm(state, f'{block}.norm2', x, eps))
        x = x + state[f'{block}.ls2.gamma'] * linear(state, f'{block}.mlp.fc2', F.gelu(y))
    x = norm(state, 'norm', x, eps)[:, -rows * columns :]
    return x.transpose(1, 2).reshape(batch, width, rows, columns)
