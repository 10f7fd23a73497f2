"""A loader's worker that is killed or stopped ends the run with one readable cause."""

import multiprocessing
import os
import re
import signal
import time

import pytest
from torch.utils.data import DataLoader, Dataset

from dsr_nss.engine.workers import (
    CONNECTION_LOST,
    TIMEOUT,
    StandstillGuard,
    explain_loader,
    protect_workers,
)


class SignalsItself(Dataset):
    """Sample 2 sends a signal to the worker that reads it."""

    def __init__(self, number):
        self.number = number

    def __len__(self):
        return 4

    def __getitem__(self, i):
        if i == 2:
            os.kill(os.getpid(), self.number)
        return i


def read(number, timeout):
    loader = DataLoader(SignalsItself(number), num_workers=1, batch_size=1, timeout=timeout)
    return list(protect_workers(loader))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_was_meant_for_the_run_ends_no_worker(number):
    """Terminals and launchers send it to all processes."""
    assert [int(batch) for batch in read(number, timeout=60)] == [0, 1, 2, 3]


@pytest.fixture
def child():
    """A process that sleeps."""
    process = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))
    process.start()
    yield process
    process.kill()
    process.join()


def test_who_goes_on_in_time_is_not_ended(child):
    with StandstillGuard(limit=0.8) as guard:
        for _ in range(3):  # longer than the limit in all, never at once
            os.kill(child.pid, signal.SIGSTOP)
            time.sleep(0.4)
            os.kill(child.pid, signal.SIGCONT)
            time.sleep(0.3)
    assert not guard.ended and child.is_alive()


def test_workers_that_are_stopped_end_with_the_run(child):
    os.kill(child.pid, signal.SIGSTOP)
    assert explain_loader(RuntimeError('DataLoader timed out after 5 seconds')) is not None
    assert child.exitcode == -signal.SIGKILL


# torch raises in a handler of the signal, which may happen within a destructor
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@pytest.mark.parametrize(
    'number, cause',
    [
        (signal.SIGKILL, r'a worker of the loader \(pid (\d+|unknown)\) was killed from outside'),
        (signal.SIGSTOP, r'a worker of the loader \(pid \d+\) was stopped from outside'),
    ],
)
def test_the_cause_is_one_sentence_and_no_worker_is_left(number, cause):
    with (
        StandstillGuard(limit=0.5) as guard,
        pytest.raises((RuntimeError, *CONNECTION_LOST)) as error,
    ):
        read(number, timeout=60)
    explained = explain_loader(error.value, guard.ended)
    assert re.match(cause, str(explained)), explained
    assert not multiprocessing.active_children()


def test_a_batch_that_takes_too_long_is_named_with_its_limit():
    explained = explain_loader(RuntimeError('DataLoader timed out after 5 seconds'))
    assert str(explained).startswith('no batch came from the loader within 5 seconds')


def test_other_errors_are_not_the_loaders():
    assert explain_loader(RuntimeError('CUDA error: out of memory')) is None


def test_there_is_a_limit_unless_the_config_has_one():
    dataset = SignalsItself(signal.SIGKILL)
    assert protect_workers(DataLoader(dataset, num_workers=1)).timeout == TIMEOUT
    assert protect_workers(DataLoader(dataset, num_workers=1, timeout=5)).timeout == 5
    assert protect_workers(DataLoader(dataset)).timeout == 0
