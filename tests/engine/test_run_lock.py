"""A work dir belongs to one run, also when parts of an earlier one are still there."""

import json
import os
import signal
import socket

import pytest

from dsr_nss.engine import run_lock
from dsr_nss.engine.processes import launched_rank
from dsr_nss.engine.run_lock import RunLock
from dsr_nss.errors import ConfigError


@pytest.fixture
def another(tmp_path):
    """Starts processes that hold the lock of a rank until they are killed."""
    started = []

    def start(rank, outlives=False):
        ready, tell = os.pipe()
        pid = os.fork()
        if not pid:
            lock = RunLock(tmp_path, rank).__enter__()
            lock.join()
            if outlives and not os.fork():
                os.write(tell, str(os.getpid()).encode())
                signal.pause()
            if not outlives:
                os.write(tell, str(os.getpid()).encode())
            signal.pause()
        started.append(int(os.read(ready, 20)))
        started.append(pid)
        return pid, started[-2]

    yield start
    for pid in started:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except OSError:
            pass


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_second_run_is_refused_and_names_the_first(tmp_path, another):
    pid, _ = another(rank=0)
    with pytest.raises(ConfigError) as error, RunLock(tmp_path):
        pass
    since = json.loads((tmp_path / '.train.lock').read_text())['since']
    assert str(error.value) == (
        f'{tmp_path} is in use: process {pid} on {socket.gethostname()} has trained in it since '
        f'{since}. Stop it first, or choose another --work-dir'
    )


def test_a_killed_run_leaves_no_lock(tmp_path, another):
    pid, _ = another(rank=0)
    kill(pid)
    with RunLock(tmp_path):
        pass


def test_a_rank_that_outlived_its_launcher_is_noticed(tmp_path, another):
    first, _ = another(rank=0)
    second, _ = another(rank=1)
    kill(first)
    with pytest.raises(ConfigError, match=rf'process {second} on .* \(rank 1 of its run\)'):
        RunLock(tmp_path).__enter__()


def test_a_worker_that_outlived_its_process_is_named(tmp_path, another, monkeypatch):
    monkeypatch.setattr(run_lock, 'PATIENCE', 0.3)
    pid, child = another(rank=0, outlives=True)
    kill(pid)
    with pytest.raises(ConfigError, match=rf'is gone, but .* still run \(pid {child}\)'):
        RunLock(tmp_path).__enter__()


def test_a_worker_that_ends_soon_is_waited_for(tmp_path, another, monkeypatch):
    pid, child = another(rank=0, outlives=True)
    kill(pid)
    sleep = run_lock.time.sleep
    monkeypatch.setattr(run_lock.time, 'sleep', lambda s: (os.kill(child, 9), sleep(0.02)))
    with RunLock(tmp_path):
        pass


def test_a_refused_start_and_an_ended_run_hold_nothing(tmp_path):
    with RunLock(tmp_path):
        with pytest.raises(ConfigError, match='in use'):
            RunLock(tmp_path).__enter__()
    with RunLock(tmp_path):
        pass


def test_ranks_of_one_run_do_not_lock_each_other_out(tmp_path):
    with RunLock(tmp_path, 0) as first, RunLock(tmp_path, 1) as second:
        first.join()
        second.join()
        assert sorted(path.name for path in tmp_path.iterdir()) == ['.train.lock', '.train.lock.1']


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    said = []

    def refuse(handle, operation):
        raise OSError(run_lock.errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(run_lock.fcntl, 'flock', refuse)
    monkeypatch.setattr(run_lock, 'print_log', said.append)
    with RunLock(tmp_path):
        assert 'cannot be locked (No locks available)' in said[0]


def test_what_a_longer_name_left_does_not_spoil_the_holder(tmp_path):
    (tmp_path / '.train.lock').write_text(json.dumps(dict(pid=1, host='h' * 500, since='long ago')))
    with RunLock(tmp_path):
        assert json.loads((tmp_path / '.train.lock').read_text())['pid'] == os.getpid()
        with pytest.raises(ConfigError, match=f'process {os.getpid()} on'):
            RunLock(tmp_path).__enter__()


def rewrite(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_run_on_another_machine_counts_as_alive(tmp_path):
    """Nobody can ask for its process from here."""
    with RunLock(tmp_path):
        rewrite(tmp_path / '.train.lock', host='another', pid=2**22 + 1)
        with pytest.raises(ConfigError, match=r'on another has trained in it since .* Stop it'):
            RunLock(tmp_path).__enter__()


def test_a_run_of_another_user_counts_as_alive(tmp_path, monkeypatch):
    def forbidden(pid, number):
        raise PermissionError(run_lock.errno.EPERM, 'Operation not permitted')

    with RunLock(tmp_path):
        monkeypatch.setattr(run_lock.os, 'kill', forbidden)
        with pytest.raises(ConfigError, match='has trained in it since'):
            RunLock(tmp_path).__enter__()


def test_processes_that_no_launcher_joins_are_refused(monkeypatch):
    """Each would be a whole run, in the folder of the other."""
    monkeypatch.setenv('RANK', '1')
    monkeypatch.setenv('WORLD_SIZE', '2')
    assert launched_rank('pytorch') == 1
    with pytest.raises(ConfigError, match='torchrun started 2 processes.* --launcher pytorch'):
        launched_rank('none')
    monkeypatch.delenv('RANK')
    with pytest.raises(ConfigError, match='that torchrun starts'):
        launched_rank('pytorch')
    monkeypatch.delenv('WORLD_SIZE')
    monkeypatch.setenv('SLURM_PROCID', '1')
    assert launched_rank('slurm') == 1
    assert launched_rank('none') == 0  # a run of its own, whose folder the lock keeps
