"""Reading a checkpoint file without running code from it.

`torch.load(weights_only=True)` refuses every type that it does not know, and mmengine's own loader
then reads the file again without that protection. Here the few harmless types that training
checkpoints hold are allowed by name, and everything else is an error.
"""

import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


class CheckpointError(RuntimeError):
    """A file that cannot be read as a checkpoint, or that does not fit the model."""


def _history_buffer_method(owner: object, name: str) -> Any:
    """Stand-in for `getattr`, which the pickled log history of mmengine calls.

    Only public methods of `HistoryBuffer` can be reached through it.
    """
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'Unsupported global: GLOBAL getattr of {owner!r}, {name!r}')
    return getattr(HistoryBuffer, name)


def _allowed_globals() -> list[Callable | tuple[Callable, str]]:
    """What a checkpoint may hold besides tensors, strings, numbers and containers of these."""
    from numpy._core import multiarray

    allowed: list[Callable | tuple[Callable, str]] = [
        HistoryBuffer,
        (_history_buffer_method, 'builtins.getattr'),
        (_history_buffer_method, '__builtin__.getattr'),
        slice,
        np.ndarray,
        np.dtype,
        *{type(np.dtype(code)) for code in '?bBhHiIlLqQefdg'},
    ]
    for module in ('numpy._core.multiarray', 'numpy.core.multiarray'):  # numpy 2, numpy 1
        allowed.append((multiarray._reconstruct, f'{module}._reconstruct'))
        allowed.append((multiarray.scalar, f'{module}.scalar'))
    return allowed


def load_checkpoint_file(path: str | Path, map_location: str | torch.device = 'cpu') -> dict:
    """Reads a `torch.save` file as data only.

    Args:
        path: The file.
        map_location: Where its tensors go.

    Returns:
        The dict in the file: a training checkpoint (`state_dict`, `meta`, ...) or a state dict.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is cut off, is no checkpoint, or holds a type that could run code.
    """
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f'checkpoint {path} is a folder; name a .pth file in it')
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint not found: {path}')
    try:
        with torch.serialization.safe_globals(_allowed_globals()):
            checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except PermissionError as error:
        raise CheckpointError(f'checkpoint {path} cannot be read: {error.strerror}') from error
    except (pickle.UnpicklingError, EOFError, OSError, RuntimeError, ValueError, KeyError) as error:
        raise CheckpointError(_explain(path, error)) from error
    if not isinstance(checkpoint, dict):
        kind = type(checkpoint).__name__
        raise CheckpointError(f'{path} is no checkpoint: it holds a {kind}, not a dict of tensors')
    return checkpoint


def _explain(path: Path, error: Exception) -> str:
    """The one line that says what is wrong with the file."""
    forbidden = re.search(r'GLOBAL (getattr of .*|[\w.]+)', str(error))
    if forbidden is not None:
        return (
            f'checkpoint {path} holds {forbidden.group(1)}, which is neither a tensor nor plain '
            'data and could run code when loaded; it was refused. If you trust its origin, load '
            'it yourself and save its state dict alone: '
            "torch.save(torch.load(FILE, weights_only=False)['state_dict'], NEW_FILE)"
        )
    size = path.stat().st_size
    starts_as_zip = path.open('rb').read(4) == b'PK\x03\x04'
    if size == 0 or isinstance(error, EOFError) or (starts_as_zip and not zipfile.is_zipfile(path)):
        return (
            f'checkpoint {path} is cut off ({size} bytes): '
            'its writing or download was interrupted; fetch it again or use an older one'
        )
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f'{path} is no checkpoint that torch can read ({first_line[:200]})'
