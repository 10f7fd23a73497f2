"""Timing in turns, and memory by what is allocated."""

import pytest
import torch

from dsr_nss.studies.benchmark import timing as module
from dsr_nss.studies.benchmark.timing import (
    Turns,
    number,
    peak_memory,
    scaled,
    short_names,
    span,
    summarise,
    table,
)

CPU = torch.device('cpu')


def test_work_is_done_in_turns_after_the_warm_up():
    calls = []
    work = {'a': lambda: calls.append('a'), 'b': lambda: calls.append('b')}
    timings = Turns(CPU, warmup=1, repeats=3).measure(work)
    assert ''.join(calls) == 'ab' + 3 * 'ab'
    assert {name: row['repeats'] for name, row in timings.items()} == {'a': 3, 'b': 3}
    assert all(row['max_s'] >= row['min_s'] >= 0 for row in timings.values())


def test_configs_of_one_name_keep_their_folders():
    names = short_names(['a/dsr.py', 'b/dsr.py', 'b/dacs.py'])
    assert names == {'a/dsr.py': 'a/dsr.py', 'b/dsr.py': 'b/dsr.py', 'dacs': 'b/dacs.py'}


def test_what_the_warm_up_returned_does_not_count():
    calls = iter(range(9))
    assert Turns(CPU, warmup=2, repeats=3).collect({'a': lambda: next(calls)}) == {'a': [2, 3, 4]}


def test_median_and_spread():
    row = summarise((0.5, 0.1, 2.0, 0.2))
    extremes = {'min_s': 0.1, 'max_s': 2.0, 'repeats': 4}
    assert row == {'median_s': pytest.approx(0.35), 'mean_s': pytest.approx(0.7), **extremes}
    assert scaled(row, 0.5)['max_s'] == 1.0 and scaled(row, 0.5)['repeats'] == 4
    assert span(row) == '350 ms (100 to 2000)'
    assert span(summarise([17.25])) == '17.25 s (17.25 to 17.25)'
    assert span({'failed': 'out of memory'}) == 'out of memory'


def test_a_table_says_what_rows_have():
    columns = {'s': number('median_s', '.1f'), 'MiB': number('bytes', '.0f', 2**-20), 'all': span}
    rows = {'a': {**summarise([2.0]), 'bytes': 2**21}, 'b': {'failed': 'no memory'}}
    lines = table('name', columns, rows, {'c': summarise([1.0])}).splitlines()
    assert lines[0].split() == ['name', 's', 'MiB', 'all']
    assert lines[2].split() == ['a', '2.0', '2', '2', 's', '(2', 'to', '2)']
    assert lines[3].split() == ['b', 'no', 'memory']
    assert lines[5].split()[:3] == ['c', '1.0', '1']


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
    turns = Turns(CPU, warmup=0, repeats=10, end=116.0)
    assert turns.row(clock.work)['repeats'] == 8  # half of the time
    assert turns.row(clock.work)['repeats'] == 4  # half of what is left
    assert turns._replace(warmup=5, repeats=1).row(clock.work)['repeats'] == 1
    assert clock.now == 115 and turns.seconds_left == 1  # two to warm up, one is timed
    clock.work()
    assert turns.seconds_left == 0
    assert list(turns.rounds(9)) == [0]  # one is always made
    assert list(turns.rounds(0)) == []
    endless = Turns(CPU)
    assert endless.seconds_left == float('inf') and list(endless.rounds(3)) == [0, 1, 2]
