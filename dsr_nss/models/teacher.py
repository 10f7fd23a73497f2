"""The EMA teacher [7].

Numbers in brackets are equations of arXiv 2310.04747.
"""

import copy
from typing import Annotated, Any

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from dsr_nss.errors import ConfigError
from dsr_nss.functional.ema import copy_, ema_momentum, ema_update_
from dsr_nss.functional.windows import at_least_float32
from dsr_nss.models.batch_norm import frozen_running_statistics, running_norms, track_inputs
from dsr_nss.values import OneOf, Share, checked

#: What the teacher's batch norms normalise by; see `EMATeacher`.
STATISTICS = ('batch', 'batch_apart', 'running', 'target')


@MODELS.register_module()
@checked
class EMATeacher(BaseModule):
    """A copy of the student whose weights follow it slowly and never receive a gradient.

    A method calls `copy_from` before its first step, when start weights have been loaded, and
    `follow` after each. What the student does not train, as an encoder under adapters, is shared
    with it, in memory and in checkpoints.

    It always runs without dropout and stochastic depth. What its batch norms normalise by is a
    field, but for those that the network itself keeps frozen; the running statistics that are saved
    with its weights are the averaged ones of the student, except with `teacher_bn='target'`.

    Args:
        student: The segmentor to follow.
        momentum: `lambda` of the paper, the weight of the old value; see `ema_momentum`.
        teacher_bn: `'batch'`: the statistics of the target batch, night images and day references
            together, as HRDA, Refign and the authors run it; `'batch_apart'`: of the night images
            and of the references, each alone (not with `sync_bn`); `'running'`: running statistics,
            averaged like the weights; `'target'`: a running mean over the teacher's own passes, so
            that the source has no part in it.

    Raises:
        ConfigError: A momentum outside [0, 1], an unknown `teacher_bn`, or one that says nothing as
            the student has no batch norms.
    """

    def __init__(
        self,
        *,
        student: nn.Module,
        momentum: Share = 0.999,
        teacher_bn: Annotated[str, OneOf(STATISTICS)] = 'batch',
    ) -> None:
        super().__init__()
        self.momentum = momentum
        self.teacher_bn = teacher_bn
        frozen = {name: p for name, p in student.named_parameters() if not p.requires_grad}
        shared = {id(parameter): parameter for parameter in frozen.values()}
        self.model = copy.deepcopy(student, shared).requires_grad_(False)
        self._shared = [f'model.{name}' for name in frozen]
        if teacher_bn != 'batch' and not running_norms(self.model):
            raise ConfigError(
                f'teacher_bn={teacher_bn!r} would change nothing: the student has no batch norms '
                'with running statistics; leave the field out'
            )
        self.register_state_dict_post_hook(_leave_out_shared)
        self.register_buffer('step', torch.zeros((), dtype=torch.int64))
        # mirror of the buffer, so that asking for it never waits for the device
        self._steps = 0
        self.train()

    @property
    def steps(self) -> int:
        """Number of finished steps."""
        return self._steps

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs) -> None:
        for name in self._shared:
            state_dict.setdefault(prefix + name, self.get_parameter(name))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self._steps = int(self.step)

    def init_weights(self) -> None:
        """Nothing: the weights are those of the student that `copy_from` is given."""

    def train(self, mode: bool = True) -> 'EMATeacher':
        """Stay in eval mode (batch norms as `teacher_bn` says), whatever the parent does."""
        super().train(mode)
        # norms that the network itself keeps frozen (norm_eval, frozen_stages) stay so here
        trained = {norm for norm in running_norms(self.model) if norm.training}
        super().train(False)
        for norm in running_norms(self.model):
            # here, not once: converting to or from SyncBN makes new norms
            if self.teacher_bn == 'target' and not hasattr(norm, 'follow_inputs'):
                track_inputs(norm)
            norm.follow_inputs = norm in trained and self.teacher_bn == 'target'
            if norm in trained and self.teacher_bn in ('batch', 'batch_apart'):
                norm.train()
        return self

    def _pairs(
        self, student: nn.Module, own_statistics: bool
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """Floating tensors of teacher and student, then integer ones, in the same order.

        Args:
            student: Network of the same build as the teacher.
            own_statistics: Leave out the buffers of batch norms.
        """
        mine = [*self.model.parameters(), *self.model.buffers()]
        theirs = [*student.parameters(), *student.buffers()]
        own = set()
        if own_statistics:
            own = {id(b) for norm in running_norms(self.model) for b in norm.buffers()}
        pairs = [
            (m.data, t.data)
            for m, t in zip(mine, theirs, strict=True)
            if m is not t and id(m) not in own
        ]
        floating = [pair for pair in pairs if pair[0].is_floating_point()]
        integer = [pair for pair in pairs if not pair[0].is_floating_point()]
        return (
            [m for m, _ in floating],
            [t for _, t in floating],
            [m for m, _ in integer],
            [t for _, t in integer],
        )

    def copy_from(self, student: nn.Module) -> None:
        """Become the student: the state before the first step."""
        mine, theirs, mine_int, theirs_int = self._pairs(student, own_statistics=False)
        copy_(mine, theirs)
        copy_(mine_int, theirs_int)
        if self.teacher_bn == 'target':
            for norm in running_norms(self.model):
                assert norm.num_batches_tracked is not None
                norm.num_batches_tracked.zero_()  # no pass over the target yet

    def follow(self, student: nn.Module) -> None:
        """`phi' <- lambda_t phi' + (1 - lambda_t) phi`, after each optimiser step.

        Raises:
            ConfigError: What was frozen, and so is shared, is trained by now.
        """
        thawed = [name for name in self._shared if self.get_parameter(name).requires_grad]
        if thawed:
            raise ConfigError(
                f'{thawed[0]} was frozen when the teacher was made, so the teacher has no weights '
                'of its own there, and is trained now; freeze from the start to the end, or use a '
                'learning rate of 0 at first'
            )
        self._steps += 1
        self.step.add_(1)
        mine, theirs, mine_int, theirs_int = self._pairs(student, self.teacher_bn == 'target')
        ema_update_(mine, theirs, ema_momentum(self._steps, self.momentum))
        copy_(mine_int, theirs_int)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Logits `(B, K, H, W)` of a normalised image `(B, 3, H, W)`, at its size.

        float32 at least.
        """
        with frozen_running_statistics(self.model):
            return at_least_float32(self.model.encode_decode(image))

    def pair(self, night: Tensor, day: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of two image batches of one size; from one pass over both, unless norms forbid.

        Args:
            night: `(B, 3, H, W)`, floating, normalised.
            day: `(B, 3, H, W)`, floating, normalised.

        Returns:
            `(B, K, H, W)` of each, float32 at least.
        """
        if self.teacher_bn == 'batch_apart':
            return self(night), self(day)
        logits_night, logits_day = self(torch.cat([night, day])).split([len(night), len(day)])
        return logits_night, logits_day


def _leave_out_shared(teacher: EMATeacher, state: dict, prefix: str, metadata: Any) -> None:
    for name in teacher._shared:
        del state[prefix + name]
