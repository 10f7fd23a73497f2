"""Whether the checkpoints of a run will fit on the disk, told before it starts."""

import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import Tensor, nn

from dsr_nss.engine.config import hooks_of_type
from dsr_nss.engine.process_states import own_buffers
from dsr_nss.engine.resume_points import checkpoints_of
from dsr_nss.engine.work_dirs import existing_part

#: Moments that an optimiser keeps of each parameter; of others two are assumed, the most usual.
_MOMENTS = {'SGD': 1}


def meta_model(config: Config) -> nn.Module:
    """The network without any memory for its weights, and none of them loaded."""
    with torch.device('meta'):
        return MODELS.build(config.model)


def checkpoint_bytes(model: nn.Module, optimizer: Mapping[str, Any]) -> int:
    """About how large a checkpoint is: weights, teacher, bank and moments, in bytes.

    Args:
        model: Any network, on the meta device as well.
        optimizer: `optim_wrapper.optimizer` of the config.
    """
    name = optimizer.get('type', '')
    moments = _MOMENTS.get(name, 2) if optimizer.get('momentum') or name != 'SGD' else 0
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    others = int(os.environ.get('WORLD_SIZE', '1')) - 1  # each process saves its own bank
    return (
        _size(model.state_dict().values())
        + moments * _size(trained)
        + others * _size(own_buffers(model).values())
    )


def _size(tensors: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, Tensor))


def disk_problems(config: Config, checkpoint: int) -> Iterator[str]:
    """A sentence if the disk of the work dir is too small for what the run will keep there.

    Args:
        config: What `configure_run` made ready.
        checkpoint: Size of one checkpoint in bytes.
    """
    hooks = [*hooks_of_type(config, 'SafeCheckpointHook'), *hooks_of_type(config, 'CheckpointHook')]
    if not hooks:
        return
    files = _files_at_once(hooks[0], config.train_cfg.max_iters)
    there = sum(path.stat().st_size for path in checkpoints_of(config.work_dir))
    folder = existing_part(config.work_dir)
    needed, free = files * checkpoint - there, shutil.disk_usage(folder).free
    if needed > free:
        yield (
            f'{config.work_dir}: up to {files} checkpoints of about {checkpoint / 1e6:,.0f} MB lie '
            f'there at once, {needed / 1e6:,.0f} MB more than now, but only {free / 1e6:,.0f} MB '
            'are free. Free space, choose another --work-dir, or keep fewer: '
            'default_hooks.checkpoint.max_keep_ckpts'
        )


def _files_at_once(hook: Mapping[str, Any], max_iters: int) -> int:
    """A new file is written before the oldest is removed."""
    interval = hook.get('interval', 1)
    saves = -(-max_iters // interval) if interval > 0 else 1  # at the end
    keep = hook.get('max_keep_ckpts', -1)
    kept = saves if keep < 0 else min(keep + 1, saves)
    return kept + (1 if hook.get('save_best') else 0)
