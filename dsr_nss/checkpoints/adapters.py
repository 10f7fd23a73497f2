"""Low-rank adapters (LoRA) in state dicts: merged into the layers that they adapt, or put onto.

Names are those that peft gives; a trained network is read without it, only training needs it.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from dsr_nss.errors import CheckpointError

#: An encoder's entry with the numerator of its adapters' factor; the rank divides it.
ALPHA = 'lora_alpha'
_BASE = '.base_layer.'
_STUDENT, _TEACHER = 'student.', 'teacher.model.'


def is_adapter(name: str) -> bool:
    """Whether an entry belongs to the adapters, not to the network that they adapt."""
    return '.lora_A.' in name or '.lora_B.' in name or name.rpartition('.')[2] == ALPHA


def merge_adapters(state: Mapping[str, Tensor], origin: str | Path) -> dict[str, Tensor]:
    """The entries of plain networks: `W + alpha / rank * B A` for every adapted weight `W`.

    The teacher of a training shares the frozen part of the encoder with its student, and a file
    holds it once: here both have it.

    Args:
        state: Entries `(...)` of one network or of a whole training; without adapters they are
            returned as they are.
        origin: What to call the file in a message.

    Raises:
        CheckpointError: An adapted layer lacks a part, or its parts do not fit together.
    """
    if not any(map(is_adapter, state)):
        return dict(state)
    state = _with_whole_teacher(state)
    plain = {}
    for name, value in state.items():
        layer, base, field = name.rpartition(_BASE)
        if base and field == 'weight':
            value = value + _product(state, layer, value.shape, origin).to(value.dtype)
        if not is_adapter(name):
            plain[name.replace(_BASE, '.')] = value
    return plain


def onto_adapters(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Entries of a plain network under the names of the same with adapters, which keep their own.

    Args:
        state: Entries of a plain network.
        own: State dict of the network to load; without adapters, `state` is returned as it is.
    """
    kept = {name: value for name, value in own.items() if is_adapter(name)}
    names = {name.replace(_BASE, '.'): name for name in own} if kept else {}
    return {**{names.get(name, name): value for name, value in state.items()}, **kept}


def _with_whole_teacher(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    whole = dict(state)
    if any(name.startswith(_TEACHER) and is_adapter(name) for name in state):
        for name, value in state.items():
            if name.startswith(f'{_STUDENT}backbone.') and not is_adapter(name):
                whole.setdefault(_TEACHER + name.removeprefix(_STUDENT), value)
    return whole


def _product(
    state: Mapping[str, Tensor], layer: str, shape: torch.Size, origin: str | Path
) -> Tensor:
    encoder = layer.rpartition('timm_model.')[0]
    try:
        down, up = (state[f'{layer}.lora_{part}.default.weight'].float() for part in 'AB')
        product = float(state[f'{encoder}{ALPHA}']) / len(down) * (up @ down)
    except (KeyError, RuntimeError, TypeError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(f'{origin}: the adapter of {layer} is not whole ({error})') from error
    if product.shape != shape:
        raise CheckpointError(
            f'{origin}: the adapter of {layer} is for a weight of {tuple(product.shape)}, but the '
            f'layer has one of {tuple(shape)}'
        )
    return product
