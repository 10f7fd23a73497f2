"""Stops a run whose loss is no longer a number, before anything bad is saved."""

import math

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from torch import Tensor, nn

from dsr_nss.engine.processes import plain_model
from dsr_nss.engine.resume_points import latest_checkpoint
from dsr_nss.errors import NonFiniteLossError
from dsr_nss.values import Count, checked


@HOOKS.register_module()
@checked
class FiniteLossGuard(Hook):
    """Raises `NonFiniteLossError` when a loss term is NaN or infinite.

    On a CPU every iteration is checked. On a GPU that would wait for the device, so the values stay
    there and are looked at every `interval` iterations and always before a checkpoint is written;
    then the weights are checked too. So the newest checkpoint on disk is always a good one.

    Args:
        interval: Iterations between two looks on a GPU; the log interval is a good choice.
    """

    priority = 'VERY_HIGH'

    def __init__(self, interval: Count = 50) -> None:
        self.interval = interval
        self._pending: list[tuple[int, list[str], Tensor, str]] = []

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Remember the loss terms; look at them when due."""
        terms = {k: v.detach() for k, v in (outputs or {}).items() if isinstance(v, Tensor)}
        if not terms:
            return
        values = torch.stack([value.float().mean() for value in terms.values()])
        self._pending.append((runner.iter, list(terms), values, _files(data_batch)))
        if values.device.type == 'cpu' or self.every_n_train_iters(runner, self.interval):
            self.check_losses(runner)

    def before_checkpoint(self, runner) -> None:
        """Called on all processes before a checkpoint is put together."""
        self.check_losses(runner)
        broken = first_non_finite(plain_model(runner))
        if _anywhere(broken is not None):
            where = f'{broken} holds NaN or Inf' if broken else 'another process has NaN or Inf'
            raise NonFiniteLossError(
                f'the weights broke: {where} after iteration {runner.iter + 1}. '
                f'The checkpoint is not written. {_last_good(runner)}'
            )

    def check_losses(self, runner) -> None:
        """Raise if any remembered value is not finite.

        Raises:
            NonFiniteLossError: Names the term, the iteration and the files of the batch.
        """
        pending, self._pending = self._pending, []
        if not pending:
            return
        values = torch.cat([values for _, _, values, _ in pending]).cpu()
        found = not bool(values.isfinite().all())
        if not _anywhere(found):
            return
        if not found:
            raise NonFiniteLossError('a loss of another process is NaN or Inf, see its message')
        for iteration, names, tensor, files in pending:
            terms = dict(zip(names, tensor.tolist(), strict=True))
            broken = {k: v for k, v in terms.items() if not math.isfinite(v)}
            if broken:
                raise NonFiniteLossError(_message(iteration, terms, broken, files, runner))


def first_non_finite(model: nn.Module) -> str | None:
    """Name of a parameter or buffer with a NaN or Inf, or None."""
    tensors = {k: v for k, v in model.state_dict().items() if v.is_floating_point()}
    by_device: dict[torch.device, list[str]] = {}
    for name, tensor in tensors.items():
        by_device.setdefault(tensor.device, []).append(name)
    for names in by_device.values():
        good = torch.stack([tensors[name].isfinite().all() for name in names]).tolist()
        if not all(good):
            return names[good.index(False)]
    return None


def _anywhere(condition: bool) -> bool:
    """Whether the condition holds on any process."""
    flag = torch.tensor([float(condition)])
    all_reduce(flag, op='max')
    return bool(flag.item())


def _files(batch: dict | None) -> str:
    """The files that a batch was made of, for the message."""
    if not isinstance(batch, dict):
        return 'unknown files'
    named = {'source': batch.get('source_file'), 'night': batch.get('night_file')}
    named |= batch.get('files', {})  # image pairs
    parts = [f'{name}: {", ".join(map(str, files))}' for name, files in named.items() if files]
    return '; '.join(parts) or 'unknown files'


def _message(iteration: int, terms: dict, broken: dict, files: str, runner) -> str:
    # the total is named only when nothing else is broken: the term is what the reader needs
    named = {k: v for k, v in broken.items() if k != 'loss'} or broken
    what = ', '.join(f'{name} is {value}' for name, value in named.items())
    others = ', '.join(f'{k} {v:.4g}' for k, v in terms.items() if k not in broken)
    lines = [f'{what} in iteration {iteration + 1} (batch of {files}); training stopped.']
    if others:
        lines.append(f'The other terms: {others}.')
    lines.append(_last_good(runner))
    lines.append(
        'Usual causes: a learning rate that is too high, float16 (try --amp bf16), bad files.'
    )
    return ' '.join(lines)


def _last_good(runner) -> str:
    path = latest_checkpoint(runner.work_dir)
    if path is None:
        return 'No checkpoint was written before.'
    return f'The last good checkpoint is {path}.'
