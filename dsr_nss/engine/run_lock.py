"""One run, one work dir: a second one would overwrite the checkpoints of the first."""

import errno
import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from dsr_nss.errors import ConfigError

#: Names of the lock files in a work dir; each process of a run has its own.
NAME = '.train.lock'
#: Workers of a process that was killed notice it within five seconds, and let go of its lock.
PATIENCE = 8.0
#: What file systems without locks report.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class RunLock:
    """Held as long as a process trains in a work dir; a context.

    The first process of a run takes its lock before anything is written and finds the locks of all
    other processes free; the others take theirs in `join`, once the processes have met. So a
    process that outlived its launcher is noticed by the next start. The system gives a lock back
    when its process ends, however that happens.

    Args:
        work_dir: The folder; it exists.
        rank: Number of this process within its run.

    Raises:
        ConfigError: On entering: another run holds the work dir; names it.
    """

    def __init__(self, work_dir: str | Path, rank: int = 0) -> None:
        self.work_dir = Path(work_dir)
        self.rank = rank
        self._handle: int | None = None

    def __enter__(self) -> 'RunLock':
        if self.rank == 0:
            for path in sorted(self.work_dir.glob(f'{NAME}*')):
                os.close(self._take(path))
            self._hold()
        return self

    def join(self) -> None:
        """Takes the lock of a process that is not the first."""
        if self.rank:
            self._hold()

    def __exit__(self, *error: object) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _hold(self) -> None:
        path = self.work_dir / (f'{NAME}.{self.rank}' if self.rank else NAME)
        self._handle = self._take(path)
        holder = dict(pid=os.getpid(), host=socket.gethostname(), rank=self.rank)
        os.ftruncate(self._handle, 0)
        os.write(self._handle, json.dumps({**holder, 'since': _now()}).encode())

    def _take(self, path: Path) -> int:
        """The open file of a lock that was free, or becomes free soon."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            until = time.monotonic() + PATIENCE
            while not _try(handle, path):
                holder = _read(path)
                if _lives(holder) or time.monotonic() > until:
                    raise ConfigError(self._sentence(path, holder))
                time.sleep(0.2)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def _sentence(self, path: Path, holder: dict[str, Any]) -> str:
        who = f'process {holder.get("pid", "?")} on {holder.get("host", "?")}'
        since = holder.get('since', '?')
        if _lives(holder):
            rank = f' (rank {holder["rank"]} of its run)' if holder.get('rank') else ''
            return (
                f'{self.work_dir} is in use: {who}{rank} has trained in it since {since}. Stop it '
                'first, or choose another --work-dir'
            )
        left = ', '.join(map(str, _holders(path))) or 'unknown'
        return (
            f'{self.work_dir} is in use: {who}, which trained in it since {since}, is gone, but '
            f'processes that it started still run (pid {left}). End them first'
        )


def _try(handle: int, path: Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        print_log(f'{path} cannot be locked ({error.strerror}): start no second run there')
    return True


def _read(path: Path) -> dict[str, Any]:
    """What the holder wrote; nothing if it has not written yet."""
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text('utf-8'))
        if isinstance(content, dict):
            return content
    return {}


def _lives(holder: dict[str, Any]) -> bool:
    """Whether the process that took the lock is still there; nobody can tell from another host."""
    if holder.get('host') != socket.gethostname() or not isinstance(holder.get('pid'), int):
        return bool(holder)
    try:
        os.kill(holder['pid'], 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    with suppress(OSError, IndexError):  # killed, but not yet collected by its parent
        return Path(f'/proc/{holder["pid"]}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    return True


def _holders(path: Path) -> list[int]:
    """The other processes of this machine that have a file open, where the system shows it."""
    found = []
    target = os.path.realpath(path)
    for process in Path('/proc').glob('[0-9]*'):
        with suppress(OSError):
            if any(os.path.realpath(link) == target for link in (process / 'fd').iterdir()):
                found.append(int(process.name))
    return sorted(set(found) - {os.getpid()})


def _now() -> str:
    return time.strftime('%Y-%m-%d %H:%M:%S')
