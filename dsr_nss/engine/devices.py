"""Where a network runs, and in which precision."""

import torch

from dsr_nss.errors import ConfigError

#: Precisions that the network can run in.
AMP_TYPES = {'bf16': torch.bfloat16, 'fp16': torch.float16}


def default_device() -> str:
    """The GPU if there is one."""
    return 'cuda' if torch.cuda.is_available() else 'cpu'


def usable_device(device: str | torch.device) -> torch.device:
    """The device of a name.

    Raises:
        ConfigError: There is none of that name, or none that torch can use here.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # torch has both
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f'the device {str(device)!r} cannot be used here ({reason}); '
            f'torch sees cpu and {torch.cuda.device_count()} GPUs (cuda)'
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device's memory did not suffice, by the allocator or a library on top of it."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        # of CUDA's libraries, and of torch's allocator on CPUs
        and any(text in str(error) for text in ('ALLOC_FAILED', "can't allocate memory"))
    )
