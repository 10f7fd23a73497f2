"""What a training state must be before a run continues from it.

A state that was edited, or put together of two, would go on silently: weights without the moments
of their optimiser, a teacher that believes to be young, labels that no class has.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dsr_nss.checkpoints.comparison import is_finite
from dsr_nss.checkpoints.mmengine_loading import EXECUTED_BY_MMENGINE
from dsr_nss.classes import IGNORE_INDEX
from dsr_nss.errors import CheckpointError

NEEDED = ('state_dict', 'meta', 'optimizer', 'message_hub')
#: Settings of optimisers that keep moments of the gradients.
WITH_MOMENTS = ('betas', 'momentum')


def check_training_state(
    filename: str,
    checkpoint: Mapping[str, Any],
    state: Mapping[str, Tensor],
    model: nn.Module,
    accumulated: int = 1,
) -> None:
    """Checks what a checkpoint says of its run, before any of it is loaded.

    Args:
        filename: Name of the file, for messages.
        checkpoint: All that the file holds.
        state: Its weights and buffers by name.
        model: What will be trained on.
        accumulated: Iterations between two steps of the optimiser.

    Raises:
        CheckpointError: It is no training state, or its parts contradict each other.
    """
    absent = sorted(name for name in NEEDED if name not in checkpoint)
    if absent:
        raise CheckpointError(
            f'cannot resume from {filename}: it holds no {", ".join(absent)}, only weights. To '
            'start a new run from them, set load_from'
        )
    for problem in _problems(checkpoint, state, model, accumulated):
        raise CheckpointError(
            f'cannot resume from {filename}: {problem}. Resume from an untouched checkpoint, or '
            'start a new run from its weights with load_from'
        )


def _problems(
    checkpoint: Mapping[str, Any], state: Mapping[str, Tensor], model: nn.Module, accumulated: int
) -> Iterator[str]:
    meta, optimizer = checkpoint['meta'], checkpoint['optimizer']
    if EXECUTED_BY_MMENGINE in meta:
        yield (
            f'its meta holds {EXECUTED_BY_MMENGINE!r}, a text that mmengine would run as Python '
            'and that no run of this package writes'
        )
    iteration = meta.get('iter')
    if type(iteration) is not int or iteration < 0:
        yield f'its meta.iter is {iteration!r:.60}, not a number of iterations'
        return
    yield from _bank(state, model)
    groups = optimizer.get('param_groups') if isinstance(optimizer, Mapping) else None
    if not isinstance(groups, (list, tuple)) or not all(isinstance(g, Mapping) for g in groups):
        yield 'its optimizer is no state of an optimiser'
        return
    with_moments = any(group.get(name) for group in groups for name in WITH_MOMENTS)
    if with_moments and iteration >= accumulated and not optimizer.get('state'):
        yield f'the optimiser holds no state after {iteration} iterations'
    yield from _clocks(state, iteration, _steps_of(optimizer) or int(iteration >= accumulated))


def _steps_of(optimizer: Mapping[str, Any]) -> int:
    """Steps that the optimiser says it has made; 0 where it does not count them."""
    moments = optimizer.get('state')
    values = moments.values() if isinstance(moments, Mapping) else ()
    steps = [each.get('step') for each in values if isinstance(each, Mapping)]
    counted = [step for step in steps if isinstance(step, Tensor) and step.numel() == 1]
    return max((int(step) for step in counted if is_finite(step)), default=0)


def _clocks(state: Mapping[str, Tensor], iteration: int, least: int) -> Iterator[str]:
    """Parts of the model that count steps themselves."""
    # fewer than iterations where gradients accumulate; more than the optimiser's where half
    # precision overflowed
    updates = range(least, iteration + 1)
    for name, counts in (('teacher.step', updates), ('step', {iteration})):
        if name in state and state[name].tolist() not in counts:
            yield (
                f'{name} is {state[name].tolist()!r:.60} but meta.iter is {iteration}: they count '
                'the same steps'
            )


def _bank(state: Mapping[str, Tensor], model: nn.Module) -> Iterator[str]:
    """The long-tail memory bank."""
    pushed, labels = state.get('bank.pushed'), state.get('bank.labels')
    if pushed is not None and (pushed.numel() != 1 or int(pushed) < 0):
        yield f'bank.pushed is {pushed.tolist()!r:.60}, not a number of images'
    classes = getattr(getattr(model, 'student', None), 'num_classes', None)
    if labels is not None and classes is not None:
        odd = labels[(labels >= classes) & (labels != IGNORE_INDEX)].unique().tolist()
        if odd:
            yield f'bank.labels holds the ids {odd!r:.60} beyond the {classes} classes'


def check_optimizer(filename: str, optimizer: torch.optim.Optimizer) -> None:
    """Checks that a loaded optimiser's state fits its parameters, which torch does not.

    Raises:
        CheckpointError: A moment of another shape than its parameter, or not finite.
    """
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if not isinstance(value, Tensor):
                continue
            if value.dim() and value.shape != parameter.shape:
                raise CheckpointError(
                    f'cannot resume from {filename}: {name} of the optimiser has the shape '
                    f'{tuple(value.shape)} for a parameter of {tuple(parameter.shape)}'
                )
            if not is_finite(value):
                raise CheckpointError(
                    f'cannot resume from {filename}: {name} of the optimiser is NaN or infinite'
                )
