"""Does the memory of the loader's processes grow?"""

import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dsr_nss.errors import ConfigError

#: The share of a watch that counts as warm-up, and the most seconds of it.
WARM_UP, LONGEST_WARM_UP = 0.25, 300.0


def watch_memory(batches: Iterator[Any], minutes: float, interval: float = 2.0) -> dict[str, Any]:
    """Reads batches for some time and notes the memory.

    Args:
        batches: Batches of a loader with workers.
        minutes: Time to watch, in minutes.
        interval: Seconds between two notes.

    Returns:
        See `memory_report`; a page that several processes share counts once.

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
    return memory_report(seconds, memory)


def memory_report(seconds: Sequence[float], memory: Sequence[int]) -> dict[str, Any]:
    """The growth of the memory: the slope of the line nearest to the readings after the warm-up.

    Args:
        seconds: When the memory was read, since the start.
        memory: Bytes of all processes together at these times.

    Returns:
        `seconds` and `memory` as lists, `warm_up_s`, and `growth_per_minute` in bytes.
    """
    warm_up = min(WARM_UP * seconds[-1], LONGEST_WARM_UP)
    late = np.array(seconds) >= warm_up
    slope = np.polyfit(np.array(seconds)[late] / 60, np.array(memory, float)[late], 1)[0]
    return {
        'seconds': list(seconds),
        'memory': list(memory),
        'warm_up_s': warm_up,
        'growth_per_minute': float(slope),
    }


def format_memory(report: Mapping[str, Any]) -> str:
    """The report as text."""
    readings = zip(report['seconds'], report['memory'], strict=True)
    late = [memory / 2**20 for second, memory in readings if second >= report['warm_up_s']]
    return (
        f'{report["seconds"][-1] / 60:.1f} minutes, the first {report["warm_up_s"] / 60:.1f} as '
        f'warm-up: {min(late):.0f} to {max(late):.0f} MiB in all processes together, '
        f'{report["growth_per_minute"] / 2**20:+.2f} MiB a minute'
    )


def shared_memory_of(pid: int) -> int:
    """Bytes of a process that are no file's: pages shared by n processes count an nth.

    Raises:
        ConfigError: This system does not tell.
    """
    fields = _read(Path(f'/proc/{pid}/smaps_rollup'))
    return fields['Pss_Anon'] + fields['Pss_Shmem']


def peak_memory_of(pids: Sequence[int | None]) -> list[int]:
    """The most bytes that each process had resident, shared pages included; [] if unknown."""
    paths = [Path(f'/proc/{pid}/status') for pid in pids]
    return [_read(path)['VmHWM'] for path in paths] if all(p.is_file() for p in paths) else []


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
