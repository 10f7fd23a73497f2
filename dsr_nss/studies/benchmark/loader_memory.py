"""Does the memory of the loader's processes grow?"""

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dsr_nss.errors import ConfigError

#: The share of a watch that counts as warm-up, and the most seconds of it.
WARM_UP, LONGEST_WARM_UP = 0.25, 300.0


@dataclass(frozen=True)
class MemoryWatch:
    """Memory of the loader over time.

    Attributes:
        seconds: When it was read, since the start.
        memory: Bytes of this process and its workers together; a page that several of them share
            counts once.
    """

    seconds: tuple[float, ...]
    memory: tuple[int, ...]

    @property
    def warm_up(self) -> float:
        """Seconds that do not count for the growth."""
        return min(WARM_UP * self.seconds[-1], LONGEST_WARM_UP)

    @property
    def growth(self) -> float:
        """Bytes a minute after the warm-up: the slope of the line nearest to the readings."""
        seconds, memory = np.array(self.seconds), np.array(self.memory, float)
        late = seconds >= self.warm_up
        return float(np.polyfit(seconds[late] / 60, memory[late], 1)[0])

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            'seconds': list(self.seconds),
            'memory': list(self.memory),
            'warm_up_s': self.warm_up,
            'growth_per_minute': self.growth,
        }

    def __str__(self) -> str:
        late = [m for s, m in zip(self.seconds, self.memory, strict=True) if s >= self.warm_up]
        return (
            f'{self.seconds[-1] / 60:.1f} minutes, the first {self.warm_up / 60:.1f} as warm-up: '
            f'{min(late) / 2**20:.0f} to {max(late) / 2**20:.0f} MiB in all processes together, '
            f'{self.growth / 2**20:+.2f} MiB a minute'
        )


def watch_memory(batches: Iterator[Any], minutes: float, interval: float = 2.0) -> MemoryWatch:
    """Reads batches for some time and notes the memory.

    Args:
        batches: Batches of a loader with workers.
        minutes: Time to watch, in minutes.
        interval: Seconds between two notes.

    Raises:
        ConfigError: This system does not tell (it is not Linux), or the time is too short.
    """
    if 60 * minutes < 8 * interval:
        raise ConfigError(f'{minutes:g} minutes are too short to see memory grow')
    start = time.monotonic()
    seconds: list[float] = []
    memory: list[int] = []
    for _ in batches:
        now = time.monotonic() - start
        if not seconds or now >= seconds[-1] + interval:
            pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
            seconds.append(now)
            memory.append(sum(shared_memory_of(pid) for pid in pids if pid is not None))
        if now >= 60 * minutes:
            break
    return MemoryWatch(tuple(seconds), tuple(memory))


def shared_memory_of(pid: int) -> int:
    """Bytes of a process that are no file's: pages shared by n processes count an nth.

    Raises:
        ConfigError: This system does not tell.
    """
    fields = _read(Path(f'/proc/{pid}/smaps_rollup'))
    return fields['Pss_Anon'] + fields['Pss_Shmem']


def peak_memory_of(pids: Sequence[int | None]) -> tuple[int, ...]:
    """The most bytes that each process had resident, shared pages included; () if unknown."""
    paths = [Path(f'/proc/{pid}/status') for pid in pids]
    if not all(path.is_file() for path in paths):
        return ()
    return tuple(_read(path)['VmHWM'] for path in paths)


def _read(path: Path) -> dict[str, int]:
    """The sizes in a file of `/proc`, in bytes."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ConfigError(
            f'{path} cannot be read ({error.strerror}); only Linux tells the memory of a process'
        ) from error
    rows = (line.split() for line in lines if line.endswith(' kB'))
    return {row[0].rstrip(':'): 1024 * int(row[1]) for row in rows}
