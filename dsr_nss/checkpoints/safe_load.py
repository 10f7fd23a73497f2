"""Reading a checkpoint file without running code from it.

`torch.load(weights_only=True)` refuses every type that it does not know, and mmengine's own loader
then reads the file again without that protection. Here the few harmless types that training
checkpoints hold are allowed by name (`allowed_globals`), and everything else is an error.
"""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from safetensors import safe_open
from torch import Tensor

from dsr_nss.checkpoints.allowed_globals import allowed_globals
from dsr_nss.checkpoints.file_checks import (
    archive_problem,
    foreign_globals,
    is_safetensors,
    is_zip,
    pickle_problem,
    text_beginning,
)
from dsr_nss.checkpoints.writing import META
from dsr_nss.errors import CheckpointError
from dsr_nss.shipped import ENDINGS, shipped_file

#: More than any training checkpoint holds, in depth and in all. A file of a kilobyte can hold a
#: list of two lists that are the same list, and so on: copied or printed, it fills any memory.
DEEPEST, MOST_ENTRIES = 50, 1_000_000


def load_checkpoint_file(path: str | Path, map_location: str | torch.device = 'cpu') -> dict:
    """Reads a `torch.save` or safetensors file as data only.

    Args:
        path: The file, or `dsr_nss::NAME` for one that comes with the package.
        map_location: Device on which its tensors are placed.

    Returns:
        The dict in the file: a training checkpoint (`state_dict`, `meta`, ...) or a state dict.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is cut off or damaged, is no checkpoint, claims to be larger than
            it is, or holds a type that could run code.
    """
    path = shipped_file(path)
    if path.is_dir():
        raise CheckpointError(f'checkpoint {path} is a folder; name a .pth file in it')
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint not found: {path}')
    try:
        checkpoint = _read(path, map_location)
        _check_content(path, checkpoint)
    except CheckpointError:
        raise
    except PermissionError as error:
        raise CheckpointError(f'checkpoint {path} cannot be read: {error.strerror}') from error
    except Exception as error:  # damaged pickles fail in any way; none of them is our fault
        raise CheckpointError(_explain(path, error)) from error
    return checkpoint


def _check_content(path: Path, checkpoint: Any) -> None:
    if not isinstance(checkpoint, dict):
        kind = type(checkpoint).__name__
        raise CheckpointError(f'{path} is no checkpoint: it holds a {kind}, not a dict of tensors')
    for name in ('state_dict', 'meta'):
        if name in checkpoint and not isinstance(checkpoint[name], Mapping):
            kind = type(checkpoint[name]).__name__
            raise CheckpointError(f'checkpoint {path}: its {name} is a {kind}, not a dict by name')
    for name, value in _values(path, checkpoint):
        if isinstance(value, Tensor):
            _check_backed(path, name, value)
        elif isinstance(value, np.ndarray) and (
            value.dtype.hasobject or value.nbytes > path.stat().st_size
        ):
            raise CheckpointError(
                f'checkpoint {path}: {name} claims {value.size} elements of {value.dtype}, which '
                'the file does not hold; it was refused'
            )


def _read(path: Path, map_location: str | torch.device) -> Any:
    if is_safetensors(path):
        with safe_open(path, framework='pt', device=str(map_location)) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            meta = (file.metadata() or {}).get(META)
        return tensors if meta is None else dict(meta=json.loads(meta), state_dict=tensors)
    problem = archive_problem(path) if is_zip(path) else None
    if problem is not None:
        raise CheckpointError(f'checkpoint {path} {problem}')
    problem = pickle_problem(path, DEEPEST)
    if problem is not None:
        raise CheckpointError(f'checkpoint {path} {problem}')
    with torch.serialization.safe_globals(allowed_globals()):
        return torch.load(path, map_location=map_location, weights_only=True)


def _values(path: Path, content: Any) -> Iterator[tuple[str, Any]]:
    """All that nested containers hold, themselves included, with dotted names.

    Raises:
        CheckpointError: They are nested too deep, or in themselves, or unfold to too much.
    """
    waiting: list[tuple[str, Any, int]] = [('', content, 0)]
    for number in itertools.count():
        if not waiting:
            return
        name, value, depth = waiting.pop()
        if depth > DEEPEST or number > MOST_ENTRIES:
            raise CheckpointError(
                f'checkpoint {path}: {name[:60]!r} is nested more than {DEEPEST} deep, or all '
                f'unfolds to more than {MOST_ENTRIES} entries; it was refused'
            )
        yield name, value
        if isinstance(value, HistoryBuffer):
            value = vars(value)
        if isinstance(value, Mapping):
            inner: Iterable[tuple[Any, Any]] = value.items()
        else:
            inner = enumerate(value) if isinstance(value, (list, tuple)) else ()
        for key, item in inner:
            shown = key if isinstance(key, (str, int)) else type(key).__name__
            waiting.append((f'{name}.{shown}' if name else f'{shown}', item, depth + 1))


def _check_backed(path: Path, name: str, tensor: Tensor) -> None:
    """A few stored numbers can pose as a huge tensor (stride 0); copying it would fill the memory.

    Raises:
        CheckpointError: The tensor has more elements than the file holds for it.
    """
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise CheckpointError(
            f'checkpoint {path}: {name} is a sparse or quantised tensor; such weights are refused'
        )
    stored = 0 if tensor.is_meta else tensor.untyped_storage().nbytes()
    stored = min(stored, path.stat().st_size)  # a pickle can ask for memory without values
    if tensor.numel() * tensor.itemsize > stored:
        raise CheckpointError(
            f'checkpoint {path}: {name} claims {tensor.numel()} elements but the file holds '
            f'{stored // tensor.itemsize}; it was refused'
        )


def _explain(path: Path, error: Exception) -> str:
    """The one line that says what is wrong with the file."""
    if path.suffix in ENDINGS:
        return f'{path} is no checkpoint; by its name it is a config'
    forbidden = re.search(r'GLOBAL (getattr of .*|[\w.]+)', str(error))
    names = [forbidden.group(1)] if forbidden else foreign_globals(path)
    if names:
        return (
            f'checkpoint {path} holds {", ".join(names[:4])}, which is neither a tensor nor plain '
            'data and could run code when loaded; it was refused. If you trust its origin, load '
            'it yourself and save its state dict alone: '
            "torch.save(torch.load(FILE, weights_only=False)['state_dict'], NEW_FILE)"
        )
    size = path.stat().st_size
    if size == 0 or isinstance(error, EOFError):
        return (
            f'checkpoint {path} is cut off ({size} bytes): '
            'its writing or download was interrupted; fetch it again or use an older one'
        )
    text = text_beginning(path)
    if text is not None:
        return f'{path} is no checkpoint but a text file that begins with {text!r}'
    # what torch says before it is advice to load without protection
    said = str(error).rpartition('WeightsUnpickler error:')[2].strip() or type(error).__name__
    return f'{path} is no checkpoint that torch can read ({said.splitlines()[0][:200]})'
