"""Several processes that share one run, as torchrun or Slurm starts them."""

import os

import torch
from mmengine.dist import init_dist
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing
from torch import nn

from dsr_nss.errors import ConfigError


def launched_rank(launcher: str) -> int:
    """Number of this process within its run, before the processes have met; 0 for a single one.

    Raises:
        ConfigError: torchrun started several processes, and `launcher` is `'none'`; or it did not
            start this one.
    """
    if launcher == 'none':
        if (number := int(os.environ.get('WORLD_SIZE', '1'))) > 1:
            raise ConfigError(
                f'torchrun started {number} processes, which share a run only with '
                '--launcher pytorch'
            )
        return 0
    if launcher == 'pytorch' and 'RANK' not in os.environ:
        raise ConfigError('--launcher pytorch is for processes that torchrun starts')
    return int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0')))


def plain_model(runner: Runner) -> nn.Module:
    """The model of a run, out of the wrapper of several processes."""
    return getattr(runner.model, 'module', runner.model)


def join_cpu_processes(launcher: str) -> None:
    """Joins the group over Gloo; mmengine's own start selects a GPU even where there is none.

    Raises:
        ConfigError: The launcher cannot start processes on CPUs.
    """
    if launcher != 'pytorch':
        raise ConfigError(f'--launcher {launcher} needs GPUs; on CPUs start torchrun')
    torch.distributed.init_process_group('gloo')


def join_processes(launcher: str, device: str | None = None) -> str | None:
    """Makes this process one of the group that its launcher started, before an evaluation.

    Args:
        launcher: `'none'`, `'pytorch'` (torchrun) or `'slurm'`.
        device: `'cpu'`, `'cuda'`, or None for a GPU each if there are GPUs.

    Returns:
        The device of this process.

    Raises:
        ConfigError: The launcher cannot work with this device.
    """
    if launcher == 'none':
        return device
    if device not in (None, 'cpu', 'cuda'):
        raise ConfigError(f'--device {device}: with --launcher each process takes its own GPU')
    set_multi_processing(distributed=True)
    if device == 'cpu' or not torch.cuda.is_available():
        join_cpu_processes(launcher)
        return 'cpu'
    init_dist(launcher)
    return f'cuda:{torch.cuda.current_device()}'
