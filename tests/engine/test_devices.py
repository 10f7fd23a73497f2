"""What torch says of devices."""

import torch

from dsr_nss.engine.devices import is_out_of_memory


def test_errors_that_say_too_little_memory():
    assert is_out_of_memory(torch.OutOfMemoryError('CUDA out of memory'))
    assert is_out_of_memory(RuntimeError('CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate'))
    text = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError('shapes')) and not is_out_of_memory(KeyError('a'))
