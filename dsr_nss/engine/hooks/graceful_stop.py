"""Ctrl-C and SIGTERM end a run with a checkpoint instead of losing it."""

import os
import signal
import time

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from dsr_nss.values import Count, checked

#: Launchers and shells pass on the signal that the terminal already sent to every process of the
#: group: within this time it is the same one. Several processes do not get it at the same moment.
SAME_SIGNAL_SECONDS = 1.0
SAME_SIGNAL_SECONDS_OF_SEVERAL = 3.0


@HOOKS.register_module()
@checked
class GracefulStop(Hook):
    """On SIGINT or SIGTERM: finish the iteration, save, say how to resume, exit with 128 + signal.

    While gradients are accumulated, which no checkpoint holds, the step is finished first.

    A second Ctrl-C, more than a second later, stops at once. With several processes all stop after
    the same iteration. On GPUs they agree on it every `agree_every` iterations, since asking each
    time would wait for the device; note that torchrun kills its processes 30 seconds after it
    passed the signal on.

    Args:
        command: What resumes the run; the training tool fills it in.
        agree_every: Iterations between two agreements of several processes on GPUs.
    """

    priority = 'LOWEST'

    def __init__(self, command: str | None = None, agree_every: Count = 5) -> None:
        self.command = command
        self.agree_every = agree_every
        self._received = 0
        self._received_at = 0.0
        self._agreed = False
        self._previous: dict[int, object] = {}
        self._process = 0

    def before_train(self, runner) -> None:
        """Take over the two signals."""
        self._process = os.getpid()
        self._logger = runner.logger
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._on_signal)

    def restore_signals(self, runner=None) -> None:
        """Give the signals back; the runner calls it however training ends."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous = {}

    def _on_signal(self, number: int, frame) -> None:
        if os.getpid() != self._process:
            return  # in a worker that has not yet set its own, see `protect_workers`
        now = time.monotonic()
        name = signal.Signals(number).name
        if not self._received:
            self._received, self._received_at = number, now
            self._logger.warning(
                f'{name} received: a checkpoint follows after this iteration '
                '(Ctrl-C again stops at once, without one)'
            )
        elif now - self._received_at > _same_signal_seconds():
            self.restore_signals()
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Stop here if a signal came; on all processes, if it came to any."""
        if get_world_size() > 1 and not self._agreed:
            on_cpu = torch.distributed.get_backend() == 'gloo'
            if not on_cpu and not self.every_n_train_iters(runner, self.agree_every):
                return
            number = torch.tensor([float(self._received)])
            all_reduce(number, op='max')
            self._received = int(number.item())
            self._agreed = self._received > 0
        finished = runner.optim_wrapper.should_update()
        if self._received and finished and runner.iter + 1 < runner.max_iters:
            self._stop(runner, iteration=runner.iter + 1)

    def after_val_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: list | None = None
    ) -> None:
        """Do not wait for the end of a validation within a run."""
        finished = runner.optim_wrapper.should_update()
        if self._received and finished and self._previous and get_world_size() == 1:
            self._stop(runner, iteration=runner.iter)

    def _stop(self, runner, iteration: int) -> None:
        path = runner.save_training_state(iteration)
        command = self.command or 'the same command and --resume'
        runner.logger.warning(
            f'stopped by {signal.Signals(self._received).name} after iteration {iteration} of '
            f'{runner.max_iters}; saved {path}. Resume with:\n    {command}'
        )
        runner.visualizer.close()
        self.restore_signals()
        raise SystemExit(128 + self._received)


def _same_signal_seconds() -> float:
    return SAME_SIGNAL_SECONDS_OF_SEVERAL if get_world_size() > 1 else SAME_SIGNAL_SECONDS
