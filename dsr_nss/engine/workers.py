"""Data loading workers that outlive a signal meant for the run, and whose own end is explained.

A terminal, torchrun and Slurm send the signal to every process. torch's workers would end at once
and take the iteration in progress with them, so that no checkpoint could be saved. And a run whose
worker was stopped would wait for it for ever.
"""

import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Callable

from torch.utils.data import DataLoader

from dsr_nss.errors import DataError

#: Seconds that a batch may take, unless `train_dataloader.timeout` says another time.
TIMEOUT = 600


def protect_workers(loader: DataLoader) -> DataLoader:
    """Let the workers of `loader` end when the main process says so, and only then."""
    if loader.num_workers > 0:
        loader.timeout = loader.timeout or TIMEOUT
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


def explain_loader(error: RuntimeError) -> DataError | None:
    """The cause of a loader's failure in a sentence, None for any other error; ends its workers.

    torch raises plain `RuntimeError`s, which their text alone tells apart. A stopped worker would
    not end when it is asked to, and the program would wait for it.
    """
    text = str(error)
    ended = re.search(r'DataLoader worker \(pid\(?s?\)? ?([\d, ]+)\)', text)
    late = re.search(r'DataLoader timed out after ([\d.]+) seconds', text)
    if ended is None and late is None:
        return None
    for process in multiprocessing.active_children():
        process.kill()
    if late is not None:
        return DataError(
            f'no batch came from the loader within {late[1]} seconds: a worker was stopped, or the '
            'disk or network with the images does not answer. Continue with --resume; if reading '
            'really takes so long, set train_dataloader.timeout'
        )
    return DataError(
        f'a worker of the loader (pid {ended[1] if ended else "?"}) was killed from outside: the '
        'machine ran out of memory, most likely, or somebody ended it. Continue with --resume and '
        'fewer train_dataloader.num_workers'
    )
