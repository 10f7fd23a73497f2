"""Timing in turns, and memory by what is allocated."""

import pytest
import torch

from dsr_nss.studies.benchmark import timing as module
from dsr_nss.studies.benchmark.timing import (
    is_out_of_memory,
    measure,
    peak_memory,
    rounds,
    span,
    summarise,
    time_left,
    time_limit,
)

CPU = torch.device('cpu')


def test_work_is_done_in_turns_after_the_warm_up():
    calls = []
    work = [lambda: calls.append('a'), lambda: calls.append('b')]
    timings = measure(work, CPU, warmup=1, repeats=3)
    assert ''.join(calls) == 'ab' + 3 * 'ab'
    assert [row['repeats'] for row in timings] == [3, 3]
    assert all(row['max_s'] >= row['min_s'] >= 0 for row in timings)


def test_median_and_spread():
    row = summarise((0.5, 0.1, 2.0, 0.2))
    assert row == {'median_s': pytest.approx(0.35), 'min_s': 0.1, 'max_s': 2.0, 'repeats': 4}
    assert span(row) == '350 ms (100 to 2000)'
    assert span(summarise([17.25])) == '17.25 s (17.25 to 17.25)'
    assert span({'failed': 'out of memory'}) == 'out of memory'


def test_peak_memory_counts_what_is_held_at_once():
    mebi = 2**20

    def one_after_the_other() -> None:
        for _ in range(3):
            torch.zeros(mebi, dtype=torch.uint8)

    def all_at_once() -> None:
        kept = [torch.zeros(mebi, dtype=torch.uint8) for _ in range(3)]
        assert kept

    assert peak_memory(one_after_the_other, CPU) == pytest.approx(mebi, rel=0.01)
    assert peak_memory(all_at_once, CPU) == pytest.approx(3 * mebi, rel=0.01)
    assert peak_memory(lambda: None, CPU) == 0


class Clock:
    """A clock that work moves."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(module.time, 'perf_counter', lambda: self.now)

    def work(self):
        self.now += 1.0


def test_fewer_repeats_where_the_time_runs_out(monkeypatch):
    clock = Clock(monkeypatch)
    with time_limit(16.0):
        (row,) = measure([clock.work], CPU, warmup=0, repeats=10)
        assert row['repeats'] == 8  # half of the time
        (row,) = measure([clock.work], CPU, warmup=0, repeats=10)
        assert row['repeats'] == 4  # half of what is left
        (row,) = measure([clock.work], CPU, warmup=5, repeats=1)
        assert clock.now == 115 and time_left() == 1  # two to warm up, one is timed
        clock.work()
        assert time_left() == 0
        assert list(rounds(9)) == [0]  # one is always made
        assert list(rounds(0)) == []
    assert time_left() == float('inf') and list(rounds(3)) == [0, 1, 2]


def test_errors_that_say_too_little_memory():
    assert is_out_of_memory(torch.OutOfMemoryError('CUDA out of memory'))
    assert is_out_of_memory(RuntimeError('CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate'))
    text = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError('shapes')) and not is_out_of_memory(KeyError('a'))
