"""Data loading workers that outlive a Ctrl-C or a SIGTERM meant for the run.

A terminal, torchrun and Slurm send the signal to every process. torch's workers would end at once
and take the iteration in progress with them, so that no checkpoint could be saved.
"""

import os
import signal
import threading
from collections.abc import Callable

from torch.utils.data import DataLoader


def protect_workers(loader: DataLoader) -> DataLoader:
    """Let the workers of `loader` end when the main process says so, and only then."""
    if loader.num_workers > 0:
        loader.worker_init_fn = _Start(loader.worker_init_fn)
    return loader


class _Start:
    """What a worker calls first; a class, so that it can be pickled."""

    def __init__(self, inner: Callable[[int], None] | None) -> None:
        self.inner = inner

    def __call__(self, worker: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_end_when_parent_asks, args=(os.getppid(),), daemon=True).start()
        if self.inner is not None:
            self.inner(worker)


def _end_when_parent_asks(parent: int) -> None:
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != parent:
        pass
    os._exit(0)
