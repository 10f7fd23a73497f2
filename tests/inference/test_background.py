"""Threads that read ahead and write behind."""

import threading

import pytest

from dsr_nss.inference.background import Writer, ahead


@pytest.mark.parametrize('workers', [0, 1, 3])
def test_ahead_keeps_the_order(workers):
    assert list(ahead(lambda x: x * x, range(20), workers=workers, depth=4)) == [
        x * x for x in range(20)
    ]


def test_ahead_works_before_it_is_asked_and_not_without_bounds():
    started, go_on = [], threading.Event()

    def work(x):
        started.append(x)
        go_on.wait(5)
        return x

    results = ahead(work, range(100), workers=2, depth=4)
    go_on.set()
    assert next(results) == 0
    assert len(started) <= 5
    results.close()
    assert len(started) <= 5  # what waits is dropped


def test_errors_come_in_their_turn():
    results = ahead(lambda x: 1 / x, [1, 0, 2], workers=2, depth=3)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize('workers', [0, 1, 2])
def test_writer_does_every_job(workers):
    done = []
    with Writer(workers, depth=2) as writer:
        for x in range(10):
            writer.submit(done.append, x)
    assert sorted(done) == list(range(10))
    assert workers == 2 or done == sorted(done)  # one thread keeps the order


@pytest.mark.parametrize('workers', [0, 2])
def test_errors_of_jobs_are_raised(workers):
    with pytest.raises(ZeroDivisionError), Writer(workers) as writer:
        writer.submit(lambda: 1 / 0)


def test_waiting_jobs_are_bounded():
    gate = threading.Event()
    threading.Timer(0.2, gate.set).start()
    with Writer(1, depth=2) as writer:
        for _ in range(3):
            writer.submit(gate.wait, 5)
        assert gate.is_set()  # the third had to wait for the first
