"""Automatic mixed precision on whatever device the model is on.

mmengine's `AmpOptimWrapper` asserts a GPU and keeps a gradient scaler for bfloat16, which has the
exponent range of float32 and needs none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS
from torch import Tensor, nn

from dsr_nss.engine.devices import AMP_TYPES
from dsr_nss.errors import ConfigError
from dsr_nss.values import OneOf, Positive, checked

_DTYPES = {**AMP_TYPES, 'bfloat16': torch.bfloat16, 'float16': torch.float16}


@OPTIM_WRAPPERS.register_module()
@checked
class AdaptiveAmpOptimWrapper(OptimWrapper):
    """Forward passes in bfloat16 (CPU or CUDA) or float16 (CUDA, with loss scaling).

    Weights, gradients and the optimiser stay in float32. Gradient accumulation and clipping work
    as in mmengine's `OptimWrapper`; clipping sees unscaled gradients.

    Args:
        dtype: `'bfloat16'` (`'bf16'`) or `'float16'` (`'fp16'`).
        init_scale: First loss scale of float16; it adapts from there.
        **kwargs: `optimizer`, `accumulative_counts`, `clip_grad`; see `OptimWrapper`.

    Raises:
        ConfigError: Unknown `dtype`, or float16 on a CPU.
    """

    def __init__(
        self,
        *,
        dtype: Annotated[str, OneOf(tuple(_DTYPES))] = 'bfloat16',
        init_scale: Positive = 65536.0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.dtype = _DTYPES[dtype]
        self.device_type = self.optimizer.param_groups[0]['params'][0].device.type
        self.loss_scaler: torch.amp.GradScaler | None = None
        if self.dtype is torch.float16:
            if self.device_type == 'cpu':
                raise ConfigError(
                    'mixed precision in float16 needs a CUDA GPU and the model is on the CPU: '
                    'use bfloat16 (--amp bf16) or no mixed precision'
                )
            self.loss_scaler = torch.amp.GradScaler(self.device_type, init_scale=init_scale)

    def backward(self, loss: Tensor, **kwargs) -> None:
        """Back-propagation of the (scaled) loss."""
        if self.loss_scaler is not None:
            loss = self.loss_scaler.scale(loss)
        super().backward(loss, **kwargs)

    def step(self, **kwargs) -> None:
        """Optimiser step; in float16, one with overflown gradients is left out."""
        if self.loss_scaler is None:
            super().step(**kwargs)
            return
        if self.clip_grad_kwargs:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update()

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast around the forward pass; no gradient exchange while gradients accumulate."""
        with super().optim_context(model), torch.autocast(self.device_type, dtype=self.dtype):
            yield

    def state_dict(self) -> dict:
        """State of the optimiser and, in float16, of the loss scale."""
        state = super().state_dict()
        if self.loss_scaler is not None:
            state['loss_scaler'] = self.loss_scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        """Continue from `state_dict`; a run may change its precision when it is resumed."""
        scale = state_dict.pop('loss_scaler', None)
        if scale and self.loss_scaler is not None:
            self.loss_scaler.load_state_dict(scale)
        super().load_state_dict(state_dict)
