"""Randomness by iteration number, so that a resumed run repeats the unbroken one."""

import random
from typing import Annotated

import numpy as np
import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from dsr_nss.values import Bounds, checked


def iteration_seed(seed: int, iteration: int, rank: int) -> int:
    """A 63-bit number that is well mixed and the same on every machine."""
    state = np.random.SeedSequence((seed, iteration, rank)).generate_state(1, np.uint64)[0]
    return int(state) >> 1


@HOOKS.register_module()
@checked
class SeedEachIteration(Hook):
    """Seeds torch (CPU and CUDA), NumPy and `random` before every training iteration.

    Data loading is seeded apart, by sample number: see `SourceTargetDataset`.

    Args:
        seed: The run's seed; None takes the runner's (`randomness.seed`).
    """

    priority = 'VERY_HIGH'

    def __init__(self, seed: Annotated[int, Bounds(0)] | None = None) -> None:
        self.seed = seed

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Seed from (seed, iteration, rank)."""
        seed = runner.seed if self.seed is None else self.seed
        mixed = iteration_seed(seed, runner.iter, runner.rank)
        torch.manual_seed(mixed)
        np.random.seed(mixed % 2**32)
        random.seed(mixed)
