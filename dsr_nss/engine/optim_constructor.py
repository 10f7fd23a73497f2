"""Parameter groups: a lower rate for the encoder, no decay where it makes no sense.

mmengine's constructor makes one group for every tensor, about a thousand for MiT-B5; the fused and
foreach kernels of the optimiser and the schedule then run once a tensor. Here: four groups, or with
layer-wise decay two of each layer.
"""

import copy
from collections.abc import Iterable
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from dsr_nss.engine.layer_decay import rate_multipliers
from dsr_nss.errors import ConfigError

#: Optimisers whose step is one kernel per group on a GPU, unless the config chooses another.
FUSED_ON_CUDA = ('Adam', 'AdamW')
#: What chooses how an optimiser computes; the config's own choice stands.
_KERNEL_FIELDS = ('fused', 'foreach', 'capturable', 'differentiable')

#: Fields of `paramwise_cfg` and their defaults.
_PARAMWISE = dict(backbone_lr_mult=0.1, layer_decay=1.0, decay_all=False)

#: Parts of parameter names that say "position embedding"; those are not decayed.
POSITION_NAMES = ('pos_embed', 'position_embed', 'absolute_pos', 'relative_position', 'pos_block')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor:
    """Groups the trainable parameters by learning rate and weight decay.

    `optim_wrapper=dict(constructor='GroupedOptimWrapperConstructor', paramwise_cfg=dict(...), ...)`

    The encoder is every parameter with `backbone` in its path. Norms and biases (all parameters
    with at most one dimension) and position embeddings are not decayed. Parameters that do not
    require a gradient (the teacher, frozen copies) are left out.

    Adam and AdamW of float32 parameters on a GPU are fused, which holds no copies of the gradients
    and takes the loss scale of float16 without waiting for the device; `fused=False` in `optimizer`
    switches that off. A resumed run computes as this run is built, whatever the checkpoint was
    written with.

    Args:
        optim_wrapper_cfg: The rest of `optim_wrapper`; `optimizer` names the optimiser.
        paramwise_cfg: `backbone_lr_mult`, the encoder's share of the learning rate (0.1);
            `layer_decay`, of each block of a vision transformer and the one after it (1.0; see
            `dsr_nss.engine.layer_decay`); `decay_all`, decay norms, biases and positions too, as
            VFM-UDA does (False).

    Raises:
        ConfigError: An unknown field, no optimiser, or nothing to train.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        self.wrapper_config = copy.deepcopy(optim_wrapper_cfg)
        if not isinstance(self.wrapper_config.get('optimizer'), dict):
            raise ConfigError('optim_wrapper.optimizer must be a dict that names an optimiser')
        options = {**_PARAMWISE, **(paramwise_cfg or {})}
        if unknown := sorted(set(options) - set(_PARAMWISE)):
            raise ConfigError(
                f'optim_wrapper.paramwise_cfg has unknown fields {unknown}; '
                f'known: {sorted(_PARAMWISE)}'
            )
        self.backbone_lr_mult = options['backbone_lr_mult']
        self.layer_decay = options['layer_decay']
        self.decay_all = options['decay_all']

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """The optimiser wrapper of `model`, or of the module inside a parallel wrapper."""
        wrapper = dict(self.wrapper_config)
        optimizer = dict(wrapper.pop('optimizer'))
        groups = self.parameter_groups(model, optimizer)
        if _fused_by_default(optimizer, groups):
            optimizer['fused'] = True
        built = OPTIMIZERS.build({**optimizer, 'params': groups})
        built.register_load_state_dict_pre_hook(_keep_kernel)
        wrapper['optimizer'] = built
        return OPTIM_WRAPPERS.build({'type': 'OptimWrapper', **wrapper})

    def parameter_groups(self, model: nn.Module, optimizer: dict) -> list[dict]:
        """Head and encoder, each with and without decay; the head first.

        With layer decay, two groups of each layer of the encoder, from its stem on.
        """
        if 'lr' not in optimizer:
            raise ConfigError('optim_wrapper.optimizer has no learning rate `lr`')
        trained = {
            name: parameter
            for name, parameter in getattr(model, 'module', model).named_parameters()
            if parameter.requires_grad
        }
        if not trained:
            raise ConfigError('the model has no parameter that requires a gradient')
        try:
            shares = rate_multipliers(_encoder_names(model, trained), self.layer_decay)
        except ValueError as error:
            raise ConfigError(f'optim_wrapper.paramwise_cfg.layer_decay: {error}') from error
        grouped: dict[tuple[bool, float, bool], list[nn.Parameter]] = {}
        for name, parameter in trained.items():
            no_decay = parameter.ndim <= 1 or any(part in name for part in POSITION_NAMES)
            key = (_of_encoder(name), shares.get(name, 1.0), no_decay and not self.decay_all)
            grouped.setdefault(key, []).append(parameter)
        groups = []
        for (encoder, share, no_decay), parameters in sorted(grouped.items()):
            lr = share * optimizer['lr'] * (self.backbone_lr_mult if encoder else 1.0)
            group = dict(params=parameters, lr=lr)
            if no_decay:
                group['weight_decay'] = 0.0
            groups.append(group)
        return groups


def _encoder_names(model: nn.Module, trained: Iterable[str]) -> list[str]:
    """All parameters of the encoder that is trained; not those of a teacher or a frozen copy."""
    starts = {name[: name.index('backbone.')] for name in trained if _of_encoder(name)}
    names = (name for name, _ in getattr(model, 'module', model).named_parameters())
    return [name for name in names if any(name.startswith(f'{s}backbone.') for s in starts)]


def _of_encoder(name: str) -> bool:
    return 'backbone' in name.split('.')


def _fused_by_default(optimizer: dict, groups: list[dict]) -> bool:
    parameters = [parameter for group in groups for parameter in group['params']]
    return (
        optimizer.get('type') in FUSED_ON_CUDA
        and not any(name in optimizer for name in _KERNEL_FIELDS)
        and all(_on_cuda(p) and p.dtype is torch.float32 for p in parameters)
    )


def _on_cuda(parameter: nn.Parameter) -> bool:
    return parameter.is_cuda


def _keep_kernel(optimizer: torch.optim.Optimizer, state_dict: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint's groups say of kernels is replaced by what this optimiser was built with.

    Or a fused optimiser would step plainly after an older checkpoint, and a plain step refuses the
    loss scale that a gradient scaler hands to a fused optimiser.
    """
    built = {
        key: optimizer.defaults[key] for key in ('fused', 'foreach') if key in optimizer.defaults
    }
    groups = [{**group, **built} for group in state_dict['param_groups']]
    return {**state_dict, 'param_groups': groups}
