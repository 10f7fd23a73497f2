"""Parameter groups: a lower rate for the encoder, no decay where it makes no sense.

mmengine's constructor makes one group for every tensor, about a thousand for MiT-B5; the fused and
foreach kernels of the optimiser and the schedule then run once a tensor. Here: at most four groups.
"""

import copy

from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from dsr_nss.engine.errors import ConfigError

#: Parts of parameter names that say "position embedding"; those are not decayed.
POSITION_NAMES = ('pos_embed', 'position_embed', 'absolute_pos', 'relative_position', 'pos_block')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor:
    """Groups the trainable parameters by learning rate and weight decay.

    `optim_wrapper=dict(constructor='GroupedOptimWrapperConstructor', paramwise_cfg=dict(...), ...)`

    The encoder is every parameter with `backbone` in its path. Norms and biases (all parameters
    with at most one dimension) and position embeddings are not decayed. Parameters that do not
    require a gradient (the teacher, frozen copies) are left out.

    Args:
        optim_wrapper_cfg: The rest of `optim_wrapper`; `optimizer` names the optimiser.
        paramwise_cfg: `backbone_lr_mult`, the encoder's share of the learning rate (0.1).

    Raises:
        ConfigError: An unknown field, no optimiser, or nothing to train.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        self.wrapper_config = copy.deepcopy(optim_wrapper_cfg)
        if not isinstance(self.wrapper_config.get('optimizer'), dict):
            raise ConfigError('optim_wrapper.optimizer must be a dict that names an optimiser')
        options = {'backbone_lr_mult': 0.1, **(paramwise_cfg or {})}
        self.backbone_lr_mult = options.pop('backbone_lr_mult')
        if options:
            raise ConfigError(
                f'optim_wrapper.paramwise_cfg has unknown fields {sorted(options)}; '
                "known: ['backbone_lr_mult']"
            )

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """The optimiser wrapper of `model`, or of the module inside a parallel wrapper."""
        wrapper = dict(self.wrapper_config)
        optimizer = dict(wrapper.pop('optimizer'))
        groups = self.parameter_groups(model, optimizer)
        wrapper['optimizer'] = OPTIMIZERS.build({**optimizer, 'params': groups})
        return OPTIM_WRAPPERS.build({'type': 'OptimWrapper', **wrapper})

    def parameter_groups(self, model: nn.Module, optimizer: dict) -> list[dict]:
        """At most four groups: head and encoder, each with and without decay; the head first."""
        if 'lr' not in optimizer:
            raise ConfigError('optim_wrapper.optimizer has no learning rate `lr`')
        grouped: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in getattr(model, 'module', model).named_parameters():
            if not parameter.requires_grad:
                continue
            encoder = 'backbone' in name.split('.')
            no_decay = parameter.ndim <= 1 or any(part in name for part in POSITION_NAMES)
            grouped.setdefault((encoder, no_decay), []).append(parameter)
        if not grouped:
            raise ConfigError('the model has no parameter that requires a gradient')
        groups = []
        for (encoder, no_decay), parameters in sorted(grouped.items()):
            lr = optimizer['lr'] * (self.backbone_lr_mult if encoder else 1.0)
            group = dict(params=parameters, lr=lr)
            if no_decay:
                group['weight_decay'] = 0.0
            groups.append(group)
        return groups
