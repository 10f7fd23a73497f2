"""Files that pass for the checkpoints of a run."""

from pathlib import Path

import torch


def save_state(folder: Path, iteration: int, **changes) -> Path:
    """Writes `folder/iter_N.pth`, a whole training state without a network."""
    state = dict(meta=dict(iter=iteration), state_dict={}, optimizer={}, message_hub={})
    torch.save({**state, **changes}, folder / f'iter_{iteration}.pth')
    return folder / f'iter_{iteration}.pth'
