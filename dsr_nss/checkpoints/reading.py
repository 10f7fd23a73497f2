"""Weights out of a file, and strict loading with messages that list what does not fit."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from dsr_nss.checkpoints.safe_load import CheckpointError, load_checkpoint_file

#: Entries under which published files keep their weights.
NESTED = ('state_dict', 'model')
#: How many names of each kind a message lists.
LISTED = 8


def read_state_dict(path: str | Path, hint: str = '') -> dict[str, Tensor]:
    """Tensors of a weight file, on the CPU; the file is read as data only.

    Args:
        path: A file written by `torch.save`: a state dict, or a dict with one under 'state_dict'.
        hint: What to do when the file is missing, for the message.

    Raises:
        FileNotFoundError: No such file; the message ends with `hint`.
        CheckpointError: Damaged, holding what could run code, or without tensors.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f'weight file not found: {path}. {hint}'.rstrip())
    content = load_checkpoint_file(path)
    for entry in NESTED:
        if isinstance(content.get(entry), Mapping):
            content = content[entry]
            break
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f'{path} holds no tensors by name, so it is no weight file')
    return tensors


def load_strictly(module: nn.Module, state_dict: Mapping[str, Tensor], origin: str | Path) -> None:
    """Load every entry or raise one error that lists what does not fit; then nothing is changed.

    Args:
        module: What to load into.
        state_dict: Names and tensors; must be the module's, exactly.
        origin: What to call the weights in the message.

    Raises:
        CheckpointError: Missing or unknown names, or other shapes.
    """
    own = module.state_dict()
    problems = {
        'missing': [name for name in own if name not in state_dict],
        'unknown': [name for name in state_dict if name not in own],
        'of another shape': [
            f'{name} {tuple(state_dict[name].shape)} for {tuple(own[name].shape)}'
            for name in own
            if name in state_dict and state_dict[name].shape != own[name].shape
        ],
    }
    messages = [
        f'{len(names)} {kind}: {_listing(names)}' for kind, names in problems.items() if names
    ]
    if messages:
        raise CheckpointError(
            f'{origin} does not fit {type(module).__name__}. '
            + '. '.join(messages)
            + '. Is it the file of another architecture?'
        )
    module.load_state_dict(state_dict)


def _listing(names: list[str]) -> str:
    rest = len(names) - LISTED
    return ', '.join(names[:LISTED]) + (f' and {rest} more' if rest > 0 else '')
