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
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from torch.utils.data import DataLoader

from dsr_nss.errors import DataError

#: Seconds that a batch may take, unless `train_dataloader.timeout` says another time.
TIMEOUT = 600
#: What a message that a worker does not finish ends with.
CONNECTION_LOST = (ConnectionError, EOFError)
#: Seconds that a worker may be stopped.
STANDSTILL = 60.0


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
        if hasattr(signal, 'sigwaitinfo'):  # not on macOS, where SIGTERM ends it as ever
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            arguments = (os.getppid(),)
            threading.Thread(target=_end_when_parent_asks, args=arguments, daemon=True).start()
        if self.inner is not None:
            self.inner(worker)


def _end_when_parent_asks(parent: int) -> None:
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != parent:
        pass
    os._exit(0)


class StandstillGuard:
    """Ends workers that were stopped and not continued; a context around a run.

    torch's own time limit does not suffice: the main process may wait for a worker in the middle of
    a tensor, without limit.

    Args:
        limit: Seconds that a worker may stand still.

    Attributes:
        ended: Process numbers of the workers that were ended.
    """

    def __init__(self, limit: float = STANDSTILL) -> None:
        self.limit = limit
        self.ended: set[int] = set()
        self._over = threading.Event()

    def __enter__(self) -> 'StandstillGuard':
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()

    def _watch(self) -> None:
        since: dict[int, float] = {}
        while not self._over.wait(min(5.0, self.limit / 4)):
            stopped = {pid for pid in _children() if _is_stopped(pid)}
            now = time.monotonic()
            since = {pid: since.get(pid, now) for pid in stopped}
            for pid, start in since.items():
                if now - start > self.limit:
                    self.ended.add(pid)
                    os.kill(pid, signal.SIGKILL)


def _children() -> list[int]:
    """Processes that this one started, where the system shows them."""
    found: list[int] = []
    for task in Path('/proc/self/task').glob('*/children'):
        with suppress(OSError):
            found += map(int, task.read_text().split())
    return found


def _is_stopped(pid: int) -> bool:
    with suppress(OSError, IndexError):
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] in 'Tt'
    return False


def _end_all_children() -> None:
    """Returns when they are gone: torch's handler of their end raises wherever the program is."""
    children: list | None = None
    while children is None:
        with suppress(RuntimeError):  # once for each loader
            children = multiprocessing.active_children()
    for process in children:
        process.kill()  # one that is stopped would not end when it is asked to
    for process in children:
        with suppress(RuntimeError):
            process.join(10)


def explain_loader(error: Exception, stood_still: Collection[int] = ()) -> DataError | None:
    """The cause of a loader's failure in a sentence, None for any other error; ends its workers.

    torch raises plain `RuntimeError`s, which their text alone tells apart; whoever is in the middle
    of a message of a worker sees the connection break.

    Args:
        error: What the loader raised.
        stood_still: Workers that a `StandstillGuard` has ended.
    """
    text = str(error)
    ended = re.search(r'DataLoader worker \(pid\(?s?\)? ?([\d, ]+)\)', text)
    late = re.search(r'DataLoader timed out after ([\d.]+) seconds', text)
    if ended is None and late is None and not isinstance(error, CONNECTION_LOST):
        return None
    _end_all_children()
    if stood_still:
        numbers = ', '.join(map(str, sorted(stood_still)))
        return DataError(
            f'a worker of the loader (pid {numbers}) was stopped from outside and did not go on; '
            'the run ended. Continue with --resume'
        )
    if late is not None:
        return DataError(
            f'no batch came from the loader within {late[1]} seconds: the disk or network with the '
            'images does not answer, most likely. Continue with --resume; if reading really takes '
            'so long, set train_dataloader.timeout'
        )
    return DataError(
        f'a worker of the loader (pid {ended[1] if ended else "unknown"}) was killed from outside: '
        'the machine ran out of memory, most likely, or somebody ended it. Continue with --resume '
        'and fewer train_dataloader.num_workers'
    )
