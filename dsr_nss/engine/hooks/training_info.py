"""Losses reach the log without making the CPU wait for the GPU in every iteration."""

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmseg.registry import HOOKS
from torch import Tensor

from dsr_nss.values import checked


@HOOKS.register_module()
@checked
class TrainingInfoHook(RuntimeInfoHook):
    """As mmengine's `RuntimeInfoHook`, which reads every number of every step from the device.

    Here the numbers stay on the device and come over in one transfer when a log line is due (the
    interval is the `LoggerHook`'s), before a checkpoint and at the end.
    `default_hooks = dict(runtime_info=dict(type='TrainingInfoHook'))`
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._pending: list[tuple[list[str], Tensor]] = []
        self._interval = 1

    def before_train(self, runner) -> None:
        """As mmengine's; learns when log lines are due."""
        super().before_train(runner)
        loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
        self._interval = min((hook.interval for hook in loggers), default=1)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Keep the numbers; pass them on when they are needed."""
        numbers = {k: v.detach() for k, v in (outputs or {}).items() if isinstance(v, Tensor)}
        if numbers:
            stacked = torch.stack([v.to(torch.float32).mean() for v in numbers.values()])
            self._pending.append((list(numbers), stacked))
        last = runner.iter + 1 == runner.max_iters or self.end_of_epoch(
            runner.train_dataloader, batch_idx
        )  # mmengine also logs after len(dataset) samples
        if last or self.every_n_inner_iters(batch_idx, self._interval):
            self._pass_on(runner)

    def before_checkpoint(self, runner) -> None:
        """The log history is part of the checkpoint."""
        self._pass_on(runner)

    def _pass_on(self, runner) -> None:
        pending, self._pending = self._pending, []
        if not pending:
            return
        values = iter(torch.cat([stacked for _, stacked in pending]).tolist())
        for names, _ in pending:
            for name in names:
                runner.message_hub.update_scalar(f'train/{name}', next(values))
