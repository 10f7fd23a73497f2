"""The types that a checkpoint may name besides tensors and plain containers.

Pickled files name classes and functions; torch's restricted reader calls those on an allow-list and
refuses the rest. Here is what published training checkpoints really name, each with a harmless
stand-in where the original would need a library that is not installed or could do more than hold
data. A stand-in keeps no behaviour: attribute dicts become dicts, callbacks become labels.
"""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer

Global = Callable | tuple[Callable, str]


class _AttributeDict:
    """Stand-in for a dict with attribute access: reading one gives an `OrderedDict`."""

    def __new__(cls, *args: Any) -> Any:
        return OrderedDict(*args)


class _Namespace:
    """Stand-in for a bag of attributes."""


class _Callback:
    """Stand-in for a class that Lightning before 1.5 used as a key of its callbacks' states."""


def _history_buffer_method(owner: object, name: str) -> Any:
    """Stand-in for `getattr`, which the pickled log history of mmengine calls.

    Only public methods of `HistoryBuffer` can be reached through it.
    """
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'Unsupported global: GLOBAL getattr of {owner!r}, {name!r}')
    return getattr(HistoryBuffer, name)


def _number_type(code: str, *_: Any) -> np.dtype:
    """Stand-in for `numpy.dtype`: numbers alone, and numpy's own object for each.

    A copy of one takes any fields and flags out of a pickle, and numpy then takes the bytes of an
    array for the addresses of objects. numpy's own keep what they are. (Arrays of big-endian
    machines, which say so in these fields, are not read as such.)
    """
    if not isinstance(code, str) or code.lstrip('<=|') not in _NUMBERS:
        raise pickle.UnpicklingError(f'Unsupported global: GLOBAL numpy.dtype of {code!r:.60}')
    return np.dtype(code)


class _Array(np.ndarray):
    """Stand-in for `numpy.ndarray`: begins empty, and is filled once.

    A pickle can ask for an array on the memory of another one, or fill an array again, which frees
    values that a tensor may still show by then: either reads and writes the memory of whatever
    comes to lie there.
    """

    def __new__(cls, *arguments: Any) -> '_Array':
        if arguments:
            raise pickle.UnpicklingError('Unsupported global: GLOBAL numpy.ndarray.called')
        return np.ndarray.__new__(cls, 0, np.uint8)

    def __setstate__(self, state: Any) -> None:  # type: ignore[override]
        if getattr(self, '_filled', False):
            raise pickle.UnpicklingError('Unsupported global: GLOBAL numpy.ndarray.filled_twice')
        super().__setstate__(state)
        self._filled = True

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Written again as the array that it is."""
        return np.asarray(self).__reduce_ex__(protocol)


def _empty_array(*_: Any) -> np.ndarray:
    """Stand-in for what begins an array: its size and values follow, and must fit each other."""
    return _Array()


def _number(kind: np.dtype, data: Any) -> np.generic:
    """Stand-in for what makes a number of numpy."""
    if not isinstance(kind, np.dtype) or not isinstance(data, (bytes, str)):
        raise pickle.UnpicklingError('Unsupported global: GLOBAL numpy.scalar of no number')
    return np.frombuffer(data if isinstance(data, bytes) else data.encode('latin1'), kind, 1)[0]


#: numpy's codes of numbers: flags, whole, floating.
_NUMBERS = {np.dtype(code).str.lstrip('<>=|') for code in '?bBhHiIlLqQefdg'}

#: PyTorch Lightning 1.x and 2.x, under each of the names that its packages had.
ATTRIBUTE_DICTS = (
    'pytorch_lightning.utilities.parsing.AttributeDict',
    'lightning_lite.utilities.data.AttributeDict',
    'lightning_fabric.utilities.data.AttributeDict',
    'lightning.fabric.utilities.data.AttributeDict',
    'mmengine.config.config.ConfigDict',
    'mmcv.utils.config.ConfigDict',
    'addict.addict.Dict',
)
NAMESPACES = ('argparse.Namespace', 'jsonargparse.namespace.Namespace')
CALLBACKS = tuple(
    f'{package}.callbacks.{module}'
    for package in ('pytorch_lightning', 'lightning.pytorch')
    for module in (
        'model_checkpoint.ModelCheckpoint',
        'early_stopping.EarlyStopping',
        'lr_monitor.LearningRateMonitor',
        'stochastic_weight_avg.StochasticWeightAveraging',
        'timer.Timer',
    )
)
PATHS = ('PosixPath', 'PurePosixPath', 'WindowsPath', 'PureWindowsPath')


def allowed_globals() -> list[Global]:
    """What `torch.serialization.safe_globals` takes."""
    allowed: list[Global] = [
        HistoryBuffer,
        (_history_buffer_method, 'builtins.getattr'),
        (_history_buffer_method, '__builtin__.getattr'),
        slice,
        (_Array, 'numpy.ndarray'),
        (_number_type, 'numpy.dtype'),
        *{type(np.dtype(code)) for code in '?bBhHiIlLqQefdg'},
        *((_AttributeDict, name) for name in ATTRIBUTE_DICTS),
        *((_Namespace, name) for name in NAMESPACES),
        *((_Callback, name) for name in CALLBACKS),
        *((PurePosixPath, f'{module}.{name}') for module in _PATH_MODULES for name in PATHS),
    ]
    for module in ('numpy._core.multiarray', 'numpy.core.multiarray'):  # numpy 2, numpy 1
        allowed.append((_empty_array, f'{module}._reconstruct'))
        allowed.append((_number, f'{module}.scalar'))
    return allowed


#: What torch's reader allows besides.
_TORCHS_OWN = (
    '_codecs.encode',
    *(f'{module}.{name}' for module in ('builtins', '__builtin__') for name in ('set', 'complex')),
)
_PATH_MODULES = ('pathlib', 'pathlib._local')


def is_allowed(name: str) -> bool:
    """Whether a name is one that reading accepts; for messages alone, reading itself decides."""
    named = (
        entry[1] if isinstance(entry, tuple) else f'{entry.__module__}.{entry.__qualname__}'
        for entry in allowed_globals()
    )
    return name.startswith(('torch.', 'collections.')) or name in (*_TORCHS_OWN, *named)
