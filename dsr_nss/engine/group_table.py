"""The parameter groups of a training, as `tools/train.py --print-groups` shows them."""

import os

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS
from torch import nn

from dsr_nss.engine.config import use_scope


def group_table(config: Config) -> str:
    """One line for each group: rate, decay, how many tensors and values, and which names.

    The model is built on torch's `meta` device, so neither weights nor data are needed.

    Args:
        config: Config of a training.

    Raises:
        ConfigError: The optimiser does not fit the model.
    """
    use_scope(config)
    with torch.device('meta'):
        model = MODELS.build(config.model)
        wrapper = build_optim_wrapper(model, config.optim_wrapper)
    rows = []
    for group in wrapper.optimizer.param_groups:
        names = _names(model, group['params'])
        rows.append((f'{group["lr"]:.4g}', f'{group["weight_decay"]:g}', names, group['params']))
    trained = {id(p) for _, _, _, parameters in rows for p in parameters}
    frozen = [p for p in model.parameters() if id(p) not in trained]
    if frozen:
        rows.append(('-', '-', _names(model, frozen), frozen))
    lines = [f'{"rate":>10} {"decay":>6} {"tensors":>8} {"values":>12}  names']
    for rate, decay, names, parameters in rows:
        values = sum(p.numel() for p in parameters)
        lines.append(f'{rate:>10} {decay:>6} {len(parameters):>8} {values:>12,}  {_shared(names)}')
    return '\n'.join(lines)


def _names(model: nn.Module, parameters: list[nn.Parameter]) -> list[str]:
    wanted = {id(p) for p in parameters}
    return [name for name, p in model.named_parameters() if id(p) in wanted]


def _shared(names: list[str]) -> str:
    """What the names begin with, up to a dot; all of a single name."""
    if len(names) == 1:
        return names[0]
    start = os.path.commonprefix(names).rpartition('.')[0]
    return f'{start}.*' if start else '*'
