"""Where a new run starts: `load_from`, a file or `dict(checkpoint=FILE, skip=(...))`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from dsr_nss.checkpoints.adapters import merge_adapters, onto_adapters
from dsr_nss.checkpoints.comparison import compare, listing
from dsr_nss.checkpoints.reading import entries_below
from dsr_nss.errors import CheckpointError, ConfigError
from dsr_nss.models.backbones.timm_encoders import TimmEncoder


@dataclass(frozen=True)
class Start:
    """A start.

    Attributes:
        checkpoint: The file, or the address that it is fetched from.
        skip: Entries of the student, or parts of it by the beginning of their dotted names, that
            are not loaded.
    """

    checkpoint: str
    skip: tuple[str, ...] = ()


def read_start(load_from: Any) -> Start:
    """The start that `load_from` states.

    Raises:
        ConfigError: It is neither a file nor a dict with the two fields.
    """
    if isinstance(load_from, Mapping):
        skip = load_from.get('skip', ())
        skip = (skip,) if isinstance(skip, str) else skip
        fits = isinstance(skip, (list, tuple)) and all(isinstance(name, str) for name in skip)
        if fits and set(load_from) <= {'checkpoint', 'skip'} and load_from.get('checkpoint'):
            return Start(str(load_from['checkpoint']), tuple(skip))
        raise ConfigError(
            "load_from must be a file or dict(checkpoint='FILE', skip=('decode_head.conv_seg',)), "
            f'got {dict(load_from)}'
        )
    return Start(str(load_from))


def load_start(
    model: nn.Module, state: Mapping[str, Tensor], source: str, skip: Sequence[str] = ()
) -> list[str]:
    """Load the start of a new run: the student of an adaptation, or a plain segmentor.

    The bank is left empty and the teacher follows the student from the first step. Adapters in the
    file are merged; those of the network start anew.

    Args:
        model: The adaptation, or any network.
        state: Entries of the file; of an adaptation's, the student's alone are taken.
        source: What to call the file in a message.
        skip: See `Start`.

    Returns:
        The entries that were skipped: they stay as they are, at random.

    Raises:
        ConfigError: Nothing in the network has a name of `skip`.
        CheckpointError: Names what is missing, unknown or of another shape.
    """
    network: nn.Module = getattr(model, 'student', None) or model
    inner = entries_below('student.', state)
    state = inner if network is not model and inner else state
    own = network.state_dict()
    state = onto_adapters(merge_adapters(state, source), own)
    for part in skip:
        if not any(_below(name, part) for name in own):
            raise ConfigError(
                f'load_from.skip: {type(network).__name__} has no entry {part!r}; it has '
                f'{listing(sorted({name.rpartition(".")[0] for name in own}))}'
            )

    def kept(names: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {n: v for n, v in names.items() if not any(_below(n, part) for part in skip)}

    fit = compare(kept(own), kept(state))
    if not fit.complete:
        raise CheckpointError(
            f'{source} is a checkpoint of another model than the {type(network).__name__} of this '
            f'config: {"; ".join(fit.problems())}{_way(fit.mismatched, source)}'
        )
    network.load_state_dict(kept(state), strict=False)
    for encoder in network.modules():
        if isinstance(encoder, TimmEncoder):
            encoder.start_adapters()
    return [name for name in own if name not in kept(own)]


def _below(name: str, part: str) -> bool:
    return name == part or name.startswith(f'{part}.')


def _way(mismatched: Mapping[str, Any], source: str) -> str:
    """How to go on with what has another shape, as classifiers of other classes have."""
    if not mismatched:
        return ''
    parts = dict.fromkeys(name.rpartition('.')[0] for name in mismatched)
    skip = ', '.join(map(repr, parts))
    return (
        f'. To leave what has another shape at random, as for other classes: '
        f'load_from=dict(checkpoint={source!r}, skip=({skip},))'
    )
