"""The settings of the optimiser after a resume: the config's, not the checkpoint's.

torch and mmengine load learning rates, decay and schedules together with the moments, so that a new
value in the config would be passed over in silence.
"""

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from dsr_nss.engine.schedule import WarmupPolyLR
from dsr_nss.errors import CheckpointError

#: Set by the schedule for the iteration that follows.
SCHEDULED = 'lr'
_SECTIONS = ('optim_wrapper.optimizer', 'optim_wrapper.paramwise_cfg', 'param_scheduler')
#: Where schedules of mmengine that fall to an end, by default that of the run, have its place.
_ENDS = ('total_iters', 'T_max', 'total_steps')


def built_settings(optimizer: Optimizer) -> list[dict[str, Any]]:
    """What the config says of each parameter group; ask before a checkpoint is loaded."""
    return [{k: v for k, v in group.items() if k != 'params'} for group in optimizer.param_groups]


def restore_settings(
    optimizer: Optimizer, built: Sequence[dict[str, Any]], schedulers: Sequence[Any]
) -> None:
    """Gives the groups the config's settings back; the rate is what the schedule says by now.

    Args:
        optimizer: With the checkpoint's state.
        built: What `built_settings` returned.
        schedulers: Those of the run, at the iteration of the checkpoint.
    """
    for group, settings in zip(optimizer.param_groups, built, strict=True):
        group.update({k: v for k, v in settings.items() if not schedulers or k != SCHEDULED})
    for scheduler in schedulers:
        if isinstance(scheduler, WarmupPolyLR):
            scheduler.apply()


def check_schedulers(filename: str, changes: Sequence[str], schedulers: Sequence[Any]) -> None:
    """Only `WarmupPolyLR` can go on with another rate; mmengine's carry the old one in their state.

    Raises:
        CheckpointError: A rate or schedule changed that would not be followed.
    """
    for change in changes:
        for scheduler in schedulers:
            ends = change.startswith('train_cfg.max_iters') and any(
                hasattr(scheduler, end) for end in _ENDS
            )
            changed = ends or change.startswith(_SECTIONS)
            if changed and not isinstance(scheduler, WarmupPolyLR):
                raise CheckpointError(
                    f'cannot resume from {filename} with {change}: a {type(scheduler).__name__} '
                    'goes on with the rates in the checkpoint. Use WarmupPolyLR, or start a new '
                    'run from its weights with load_from'
                )
