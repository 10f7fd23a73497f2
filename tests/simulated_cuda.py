"""A GPU that is not there: tensors "on cuda" have a shape, a type and a device, but no content.

What runs here meets no tensor on the wrong device or of a type that its operation does not take
under CUDA's autocast, reads no content back, and copies nothing between CPU and GPU in a way that
waits for it. Kernels, gradients, times and memory are not simulated.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_any, tree_map

_PACKAGE = str(Path(__file__).resolve().parents[1] / 'dsr_nss')
_COPIES = ('aten::_to_copy', 'aten::copy_')
_PATCHES = {
    'torch.cuda._lazy_init': lambda: None,
    'torch.cuda.is_available': lambda: True,
    'torch.cuda.device_count': lambda: 1,
    'torch.cuda.current_device': lambda: 0,
    'torch.cuda.is_current_stream_capturing': lambda: False,
    'torch.cuda.is_bf16_supported': lambda *_: True,
    # FakeTensor makes a real tensor to start the device
    'torch._subclasses.fake_tensor.init_gpu_context': lambda *_: None,
    'torch.cuda.amp.common.amp_definitely_not_available': lambda: False,
}


class SimulatedCuda(TorchDispatchMode):
    """Runs what touches the device on tensors without content.

    Attributes:
        waits: Where in the package a copy between the devices waited, and how often.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self.waits: dict[str, int] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        named = any(_is_cuda(value) for value in (*args, *kwargs.values()))
        if not named and not tree_any(lambda x: isinstance(x, FakeTensor), (args, kwargs)):
            return function(*args, **kwargs)
        if function._schema.name in _COPIES:
            self._watch(function, args, kwargs)
        if named:
            args, kwargs = tree_map(self._lift, (args, kwargs))
        with self.fake:
            return function(*args, **kwargs)

    def _lift(self, value):
        real = isinstance(value, Tensor) and not isinstance(value, FakeTensor)
        return self.fake.from_tensor(value.detach()) if real else value

    def _watch(self, function, args, kwargs) -> None:
        if function._schema.name == 'aten::copy_':
            source, target = args[1].device, args[0].device
            waits = not (len(args) > 2 and args[2])
        else:
            source, target = args[0].device, torch.device(kwargs.get('device') or args[0].device)
            waits = not kwargs.get('non_blocking')
        if waits and source.type != target.type:
            frames = [f for f in traceback.extract_stack() if f.filename.startswith(_PACKAGE)]
            place = f'{frames[-1].filename}:{frames[-1].lineno}' if frames else 'outside'
            self.waits[place] = self.waits.get(place, 0) + 1


def _is_cuda(value) -> bool:
    return isinstance(value, (torch.device, str)) and str(value).startswith('cuda')


@contextmanager
def simulated_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCuda]:
    """Skips where this torch cannot be led to believe in a GPU: this uses its inner parts."""
    for name, replacement in _PATCHES.items():
        monkeypatch.setattr(name, replacement)
    # cuDNN's sampling and norms have no form without content; torch's own have
    with SimulatedCuda() as mode, torch.backends.cudnn.flags(enabled=False):
        try:
            torch._C._ensureCUDADeviceGuardSet()
            probe = torch.zeros(2, 2).to('cuda')
            with torch.autocast('cuda', torch.bfloat16):
                assert (probe @ probe).dtype == torch.bfloat16 and probe.is_cuda
        except (AttributeError, RuntimeError, AssertionError) as error:
            pytest.skip(f'no simulated GPU with torch {torch.__version__}: {error}')
        mode.waits.clear()
        yield mode
