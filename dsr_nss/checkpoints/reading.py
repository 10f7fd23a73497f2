"""Weights out of a file, and strict loading with messages that list what does not fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dsr_nss.checkpoints.adapters import merge_adapters, onto_adapters
from dsr_nss.checkpoints.comparison import compare, listing
from dsr_nss.checkpoints.mmengine_loading import is_address, local_file
from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.errors import CheckpointError, ConfigError

#: Entries under which published files keep their weights.
NESTED = ('state_dict', 'model')

#: The longest name of a weight in any network here has some 80 characters.
LONGEST_NAME = 300


def read_state_dict(path: str | Path, hint: str = '', prefix: str = '') -> dict[str, Tensor]:
    """Tensors of a weight file, on the CPU; the file is read as data only.

    Args:
        path: A file written by `torch.save`: a state dict, or a dict with one under 'state_dict';
            its address in the net, or `dsr_nss::NAME` of one that comes with the package.
        hint: What to do when the file is missing, for the message.
        prefix: Beginning of the names of the part that is wanted, which they lose.

    Raises:
        FileNotFoundError: No such file; the message ends with `hint`.
        CheckpointError: Damaged, holding what could run code, or without (such) tensors.
    """
    if not is_address(path) and not local_file(path).exists():
        raise FileNotFoundError(f'weight file not found: {path}. {hint}'.rstrip())
    tensors = merge_adapters(named_tensors(load_checkpoint_file(local_file(path)), path), path)
    part = entries_below(prefix, tensors)
    if not part:
        beginnings = sorted({name.split('.')[0] for name in tensors})
        raise CheckpointError(
            f'{path} has no entry that begins with {prefix!r}; its names begin with '
            f'{listing(beginnings)}'
        )
    return part


def entries_below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries whose names begin with `prefix`, which they lose."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def prefixes_of(mark: str, state: Mapping[str, Tensor]) -> list[str]:
    """What stands before `mark`, a whole dotted name, in the names that end with it."""
    return [k.removesuffix(mark) for k in state if k == mark or k.endswith(f'.{mark}')]


def start_file(init_cfg: Mapping[str, Any], owner: str) -> tuple[str, str]:
    """File and prefix of `init_cfg=dict(type='Pretrained', checkpoint=FILE, prefix='backbone.')`.

    Args:
        init_cfg: The field of an encoder.
        owner: Whose it is, for the message.

    Raises:
        ConfigError: It has another type or other fields.
    """
    known = {'type', 'checkpoint', 'prefix'}
    if (
        init_cfg.get('type') != 'Pretrained'
        or not init_cfg.get('checkpoint')
        or set(init_cfg) - known
    ):
        raise ConfigError(
            f'{owner}: init_cfg must be None or dict(type="Pretrained", checkpoint=PATH, '
            f'prefix="student.backbone."), the prefix where a file holds several, got {init_cfg}'
        )
    prefix = init_cfg.get('prefix') or ''
    return init_cfg['checkpoint'], f'{prefix.rstrip(".")}.' if prefix else ''


def entries_at_random(content: Mapping[str, Any]) -> list[str]:
    """Names that a converted file has no weights of (`tools/convert_checkpoint.py --partial`).

    Args:
        content: What `load_checkpoint_file` returned.
    """
    meta = content.get('meta')
    provenance = meta.get('provenance') if isinstance(meta, Mapping) else None
    names = provenance.get('left_at_random') if isinstance(provenance, Mapping) else None
    return list(map(str, names)) if isinstance(names, (list, tuple)) else []


def named_tensors(content: Mapping[str, Any], origin: str | Path) -> dict[str, Tensor]:
    """The weights in what a file holds; names lose the `module.` that parallel training adds.

    Args:
        content: What `load_checkpoint_file` returned.
        origin: What to call the file in the message.

    Raises:
        CheckpointError: There are none, or one has a name that no network gives.
    """
    for entry in NESTED:
        if isinstance(content.get(entry), Mapping):
            content = content[entry]
            break
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    for name in tensors:
        if not isinstance(name, str) or not name.isprintable() or len(name) > LONGEST_NAME:
            raise CheckpointError(
                f'{origin} names a tensor {name!r:.60}, which no network does; it was refused'
            )
    if not tensors:
        raise CheckpointError(f'{origin} holds no tensors by name, so it is no weight file')
    if all(name.startswith('module.') for name in tensors):
        tensors = {name.removeprefix('module.'): value for name, value in tensors.items()}
    return tensors


def load_strictly(module: nn.Module, state_dict: Mapping[str, Tensor], origin: str | Path) -> None:
    """Load every entry or raise one error that lists what does not fit; then nothing is changed.

    Args:
        module: What to load into.
        state_dict: Names and tensors; must be the module's, exactly. Adapters keep their start.
        origin: What to call the weights in the message.

    Raises:
        CheckpointError: Missing or unknown names, other shapes, other kinds of numbers, or NaN.
    """
    own = module.state_dict()
    state_dict = onto_adapters(state_dict, own)
    messages = compare(own, state_dict).problems()
    if messages:
        raise CheckpointError(
            f'{origin} does not fit {type(module).__name__}. '
            + '. '.join(messages)
            + '. Is it the file of another architecture?'
        )
    module.load_state_dict(state_dict)
