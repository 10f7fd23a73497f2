"""The endless order of training samples."""

from collections.abc import Iterator, Sized
from itertools import count

from mmengine.dist import get_dist_info
from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import Sampler


@DATA_SAMPLERS.register_module()
class StepSampler(Sampler[int]):
    """Yields the global sample numbers of this process: `rank, rank + world_size, ...`, without
    end.

    `SourceTargetDataset` maps a sample number to a sample on its own, epochs and shuffling included
    (mmengine's `InfiniteSampler` repeats the numbers of an epoch, so a dataset could not tell one
    pass from the next). Step `t` of any number of processes with `b` samples each takes the numbers
    `t * world_size * b ... (t + 1) * world_size * b - 1`.

    Args:
        dataset: The dataset; its length is the length of an epoch.
        seed: What mmengine passes to every sampler. The order has no randomness: the dataset's own
            seed decides what a sample number means.
    """

    def __init__(self, dataset: Sized, seed: int | None = None) -> None:
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        self._skipped = 0

    def __iter__(self) -> Iterator[int]:
        """The sample numbers, from the first that is not skipped."""
        return count(self.rank + self._skipped * self.world_size, self.world_size)

    def __len__(self) -> int:
        """Samples of one epoch, as mmengine's `InfiniteSampler` counts."""
        return self.size

    def skip(self, num_samples: int) -> None:
        """Starts after the first `num_samples` of this process; a resumed run calls it.

        Raises:
            ValueError: `num_samples` is negative.
        """
        if num_samples < 0:
            raise ValueError(f'cannot skip {num_samples} samples')
        self._skipped = num_samples

    def set_epoch(self, epoch: int) -> None:
        """mmengine's loops call it; the order does not depend on epochs."""
