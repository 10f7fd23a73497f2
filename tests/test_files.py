"""Files that are written whole or not at all, also on a full disk."""

import errno
import os
import stat
import time

import pytest
import torch

from dsr_nss.checkpoints.writing import save_checkpoint_file
from dsr_nss.errors import StorageError
from dsr_nss.files import (
    atomic_file,
    remove_abandoned,
    temporary_prefix,
    write_atomically,
    write_json,
)
from tests.full_disk import largest_file


def test_the_content_takes_the_name_at_the_end(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    with atomic_file(path) as file:
        file.write(b'new')
        assert path.read_text() == 'old'
        # on the same disk: a name can only be given within one
        assert len(os.listdir(tmp_path)) == 2
    assert path.read_text() == 'new' and os.listdir(tmp_path) == ['a.txt']
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / 'a.txt'
    with atomic_file(path) as first, atomic_file(path) as second:
        first.write(b'first')
        second.write(b'second')
    assert path.read_text() == 'first'  # the one that ended last, whole


def test_content_and_name_reach_the_disk_in_this_order(tmp_path, monkeypatch):
    done, sync, replace = [], os.fsync, os.replace

    def fsync(handle):
        done.append('folder' if stat.S_ISDIR(os.fstat(handle).st_mode) else 'file')
        sync(handle)

    monkeypatch.setattr(os, 'fsync', fsync)
    monkeypatch.setattr(os, 'replace', lambda *names: (done.append('name'), replace(*names)))
    write_atomically(tmp_path / 'a.txt', 'text')
    assert done == ['file', 'name', 'folder']


@pytest.mark.parametrize(
    'write',
    [
        lambda path: write_atomically(path, bytes(100_000)),
        lambda path: save_checkpoint_file(path, dict(weight=torch.zeros(100_000))),
    ],
)
def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path, write):
    path = tmp_path / 'a.pth'
    path.write_text('old')
    with largest_file(50_000), pytest.raises(StorageError) as error:
        write(path)
    assert str(error.value).startswith(f'cannot write {path}: File too large (')
    assert f'Free space on the disk of {tmp_path}' in str(error.value)
    assert path.read_text() == 'old' and os.listdir(tmp_path) == ['a.pth']


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EDQUOT])
def test_a_failing_fsync_is_noticed(tmp_path, monkeypatch, number):
    def fail(handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, 'fsync', fail)
    with pytest.raises(StorageError, match=f'{os.strerror(number)} .*MB are free there'):
        write_atomically(tmp_path / 'a.txt', 'text')
    assert not os.listdir(tmp_path)


def test_other_errors_inside_keep_their_type(tmp_path):
    with pytest.raises(RuntimeError, match='mine'), atomic_file(tmp_path / 'a.txt'):
        raise RuntimeError('mine')
    assert not os.listdir(tmp_path)


def test_only_old_files_of_its_own_are_removed(tmp_path):
    """Another program may be writing a young one; a link leads to a file of somebody."""
    path = tmp_path / 'a.txt'
    old, young, link = (tmp_path / f'{temporary_prefix(path)}{name}' for name in 'abc')
    other = tmp_path / '.b.txt.abcdef'
    for file in (old, young, other):
        file.touch()
    link.symlink_to(old)
    for file in (old, link, other):
        os.utime(file, (0, 0))
    os.utime(young, (time.time() - 600,) * 2)
    remove_abandoned([path, tmp_path / 'gone' / 'a.txt'])
    assert sorted(os.listdir(tmp_path)) == sorted(file.name for file in (young, link, other))


def test_a_link_keeps_leading_to_its_file(tmp_path):
    (tmp_path / 'there').mkdir()
    real, link = tmp_path / 'there/real.json', tmp_path / 'link.json'
    real.write_text('old')
    link.symlink_to(real)
    write_json(link, {'a': 1})
    assert link.is_symlink() and real.read_text() == '{\n  "a": 1\n}\n'


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(StorageError, match='pipe: it is there and no regular file'):
        write_json(tmp_path / 'pipe', {})
    assert stat.S_ISFIFO((tmp_path / 'pipe').stat().st_mode)


def test_another_program_may_finish_its_file_in_the_meantime(tmp_path, monkeypatch):
    path = tmp_path / 'a.txt'
    partial = tmp_path / f'{temporary_prefix(path)}a'
    partial.touch()
    monkeypatch.setattr('dsr_nss.files.time.time', lambda: partial.replace(path) and 1e12)
    remove_abandoned([path])
    assert os.listdir(tmp_path) == ['a.txt']


@pytest.mark.parametrize('number', [float('nan'), float('inf')])
def test_json_holds_numbers_alone(tmp_path, number):
    """What is no number would be a file that other programs cannot read."""
    with pytest.raises(ValueError, match='JSON'):
        write_json(tmp_path / 'a.json', dict(mIoU=number))
    assert not (tmp_path / 'a.json').exists()
