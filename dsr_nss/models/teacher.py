"""The EMA teacher (paper equation 7)."""

import copy

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dsr_nss.functional.ema import copy_, ema_momentum, ema_update_


@MODELS.register_module()
class EMATeacher(BaseModule):
    """A copy of the student whose weights follow it slowly and never receive a gradient.

    It always runs in eval mode: without dropout and stochastic depth. Its batch norms use running
    statistics, which are averaged like the weights.

    Args:
        student: The segmentor to follow.
        momentum: `lambda` of the paper, the weight of the old value; see `ema_momentum`.
        teacher_bn: `'running'`, or `'batch'` for batch norms on the statistics of the target batch,
            as the base methods run them.
    """

    def __init__(
        self, *, student: nn.Module, momentum: float = 0.999, teacher_bn: str = 'running'
    ) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise ValueError(f'momentum must lie in [0, 1], got {momentum}')
        if teacher_bn not in ('running', 'batch'):
            raise ValueError(f"teacher_bn must be 'running' or 'batch', got {teacher_bn!r}")
        self.momentum = momentum
        self.teacher_bn = teacher_bn
        self.model = copy.deepcopy(student).requires_grad_(False)
        self.register_buffer('step', torch.zeros((), dtype=torch.int64))
        # mirror of the buffer, so that asking for it never waits for the device
        self._steps = 0
        self.train()

    @property
    def steps(self) -> int:
        """Number of finished steps."""
        return self._steps

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._steps = int(self.step)

    def init_weights(self) -> None:
        """Nothing: the weights are the student's."""

    def train(self, mode: bool = True) -> 'EMATeacher':
        """Stay in eval mode (batch norms as `teacher_bn` says), whatever the parent does."""
        super().train(False)
        if mode and self.teacher_bn == 'batch':
            for module in self.model.modules():
                if isinstance(module, _BatchNorm):
                    module.train()
                    module.momentum = 0.0  # batch statistics are used, running ones left alone
        return self

    def _pairs(
        self, student: nn.Module
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        mine = [*self.model.parameters(), *self.model.buffers()]
        theirs = [*student.parameters(), *student.buffers()]
        floating = [t.is_floating_point() for t in mine]
        return (
            [t.data for t, f in zip(mine, floating, strict=True) if f],
            [t.data for t, f in zip(theirs, floating, strict=True) if f],
            [t.data for t, f in zip(mine, floating, strict=True) if not f],
            [t.data for t, f in zip(theirs, floating, strict=True) if not f],
        )

    def copy_from(self, student: nn.Module) -> None:
        """Become the student: the state before the first step."""
        mine, theirs, mine_int, theirs_int = self._pairs(student)
        copy_(mine, theirs)
        copy_(mine_int, theirs_int)

    def follow(self, student: nn.Module) -> None:
        """`phi' <- lambda_t phi' + (1 - lambda_t) phi`, after each optimiser step."""
        self._steps += 1
        self.step.add_(1)
        mine, theirs, mine_int, theirs_int = self._pairs(student)
        ema_update_(mine, theirs, ema_momentum(self._steps, self.momentum))
        copy_(mine_int, theirs_int)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Logits `(B, K, H, W)` of a normalised image `(B, 3, H, W)`, at its size, float32."""
        meta = dict(
            ori_shape=image.shape[2:],
            img_shape=image.shape[2:],
            pad_shape=image.shape[2:],
            padding_size=[0, 0, 0, 0],
        )
        return self.model.encode_decode(image, [meta] * len(image)).float()

    def pair(self, night: Tensor, day: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of two image batches of one size, from one pass over both.

        Batch norms on batch statistics look at each alone: a pass for each.
        """
        if self.teacher_bn == 'batch':
            return self(night), self(day)
        logits_night, logits_day = self(torch.cat([night, day])).split([len(night), len(day)])
        return logits_night, logits_day
