"""Where a network runs, and in which precision."""

import torch

#: Precisions that the network can run in.
AMP_TYPES = {'bf16': torch.bfloat16, 'fp16': torch.float16}


def default_device() -> str:
    """The GPU if there is one."""
    return 'cuda' if torch.cuda.is_available() else 'cpu'
