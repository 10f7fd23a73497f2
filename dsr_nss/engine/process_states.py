"""What each process of a run has for itself: its bank, statistics of its teacher, generators.

The student is the same everywhere and is saved once. Without the rest a resumed run of several
processes would go on with the bank of the first one in all of them.
"""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from torch import Tensor, nn

from dsr_nss.errors import CheckpointError
from dsr_nss.models.dsr.dealing import deal

#: Entry of a checkpoint; a list with a dict for each process.
ENTRY = 'processes'
#: Same in all processes, see `AdaptationDDP`.
SHARED = 'student.'


def gather_process_states(model: nn.Module) -> list[dict[str, Any]]:
    """The state of every process, in all of them; the first one's buffers are in the state dict.

    A collective call: all processes make it together.
    """
    rank = get_rank()
    buffers = {k: v.cpu() for k, v in own_buffers(model).items()} if rank else {}
    return all_gather_object(dict(buffers=buffers, generators=generator_states()))


def own_buffers(model: nn.Module) -> dict[str, Tensor]:
    """Saved buffers that differ between the processes."""
    saved = model.state_dict()
    return {k: v for k, v in model.named_buffers() if k in saved and not k.startswith(SHARED)}


def load_process_state(
    filename: str, checkpoint: Mapping[str, Any], model: nn.Module
) -> tuple[str | None, Mapping | None]:
    """Gives this process what it had; the model has loaded the checkpoint's state dict before.

    Another number of processes than before deals the images of all banks out among them; other
    buffers are taken from the processes in turn, and generators begin with the next iteration.

    Returns:
        What to say of it, None if everything is as it was; and the states for
        `restore_generators`, None if this process has none.

    Raises:
        CheckpointError: The entry is not what this package writes.
    """
    states, world = checkpoint.get(ENTRY), get_world_size()
    if states is not None and (not isinstance(states, (list, tuple)) or not states):
        raise CheckpointError(f'cannot resume from {filename}: its {ENTRY} is no list of states')
    if states is None:
        notice = f'{filename} holds one bank: all {world} processes continue with it'
        return notice if world > 1 else None, None
    own = own_buffers(model)
    every = [_checked(filename, state, own if i else {}) for i, state in enumerate(states)]
    rank = get_rank()
    first = {name: value.cpu().clone() for name, value in own.items()}
    saved = [first, *(state['buffers'] for state in every[1:])]
    if len(every) == world:
        _copy(own, saved[rank])
        return None, every[rank]['generators']
    _copy(own, saved[rank % len(saved)])
    bank = getattr(model, 'bank', None)
    capacity = getattr(bank, 'capacity', None)
    if capacity is None:
        dealt = ''
    else:
        assert isinstance(bank, nn.Module)
        banks = [{k[5:]: v for k, v in one.items() if k.startswith('bank.')} for one in saved]
        _copy(dict(bank.named_buffers()), deal(banks, capacity, world)[rank])
        dealt = ': the images of their banks were dealt out anew'
    notice = (
        f'{filename} was written by {len(every)} process(es), this run has {world}{dealt}. A step '
        f'takes {world} x batch_size images now'
    )
    return notice, None


def _checked(filename: str, state: Any, own: Mapping[str, Tensor]) -> dict[str, Any]:
    buffers = state.get('buffers') if isinstance(state, Mapping) else None
    generators = state.get('generators') if isinstance(state, Mapping) else None
    if isinstance(buffers, Mapping) and isinstance(generators, Mapping):
        shapes = {name: tuple(value.shape) for name, value in own.items()}
        if {k: tuple(getattr(v, 'shape', ())) for k, v in buffers.items()} == shapes:
            return dict(buffers=buffers, generators=generators)
    raise CheckpointError(
        f'cannot resume from {filename}: its {ENTRY} does not hold the buffers of this model for '
        'every process. Resume from an untouched checkpoint'
    )


def _copy(own: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        own[name].copy_(value)


def generator_states() -> dict[str, Any]:
    """The global generators of torch, NumPy and Python as tensors and numbers."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    version, numbers, following = random.getstate()
    states: dict[str, Any] = dict(
        torch=torch.get_rng_state(),
        numpy=dict(keys=torch.from_numpy(np.asarray(keys).astype(np.int64)), position=int(position),
                   has_gauss=int(has_gauss), gauss=float(gauss)),
        python=dict(version=version, numbers=list(numbers), following=following),
    )  # fmt: skip
    if torch.cuda.is_available():
        states['cuda'] = torch.cuda.get_rng_state()
    return states


def restore_generators(states: Mapping[str, Any]) -> None:
    """Sets the generators that `generator_states` saved.

    `SeedEachIteration`, which all configs have, seeds them anew before each step.
    """
    torch.set_rng_state(states['torch'])
    numpy, python = states['numpy'], states['python']
    np.random.set_state(
        ('MT19937', numpy['keys'].numpy().astype(np.uint32), numpy['position'],
         numpy['has_gauss'], numpy['gauss'])
    )  # fmt: skip
    random.setstate((python['version'], tuple(python['numbers']), python['following']))
    if 'cuda' in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states['cuda'])
