"""Checkpoint files are read as data, and bad files are named."""

import os
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub

from dsr_nss.checkpoints.safe_load import load_checkpoint_file
from dsr_nss.errors import CheckpointError


class Evil:
    def __reduce__(self):
        return (os.mkdir, (os.environ['EVIL_FOLDER'],))


class SneakyGetattr:
    def __reduce__(self):
        return (getattr, (np.ndarray, 'tofile'))


class ItemsOfATensor:
    def __reduce__(self):
        rebuild, values = torch.zeros(4).__reduce_ex__(2)[:2]
        return rebuild, values, None, None, iter([(0, 9.0)])


def test_training_checkpoint_round_trip(tmp_path):
    hub = MessageHub.get_instance('safe_load_test')
    hub.update_scalar('train/loss', 1.5)
    hub.update_info('iter', 3)
    numbers = dict(scalar=np.int64(7), half=np.float16(0.5), array=np.arange(3, dtype=np.uint8))
    saved = dict(
        state_dict=OrderedDict(weight=torch.arange(4.0)),
        message_hub=hub.state_dict(),
        meta=dict(iter=3, seed=np.int64(1), numbers=numbers),
    )
    torch.save(saved, tmp_path / 'a.pth')
    loaded = load_checkpoint_file(tmp_path / 'a.pth')
    assert torch.equal(loaded['state_dict']['weight'], torch.arange(4.0))
    assert loaded['meta']['numbers']['scalar'] == 7
    assert loaded['meta']['numbers']['array'].tolist() == [0, 1, 2]
    assert loaded['message_hub']['log_scalars']['train/loss'].current() == 1.5


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.pth'):
        load_checkpoint_file(tmp_path / 'nothing.pth')
    with pytest.raises(CheckpointError, match='is a folder'):
        load_checkpoint_file(tmp_path)


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('share', [0.0, 0.5, 0.99])
def test_cut_off_file_is_refused(tmp_path, legacy, share):
    path = tmp_path / 'a.pth'
    torch.save({'w': torch.zeros(1000)}, path, _use_new_zipfile_serialization=not legacy)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CheckpointError, match='a.pth'):
        load_checkpoint_file(path)


def test_cut_off_zip_says_so(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save({'w': torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match='cut off'):
        load_checkpoint_file(path)


@pytest.mark.parametrize('content', [b'no checkpoint at all\n', b'\x89PNG\r\n\x1a\n' + bytes(100)])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match='no checkpoint'):
        load_checkpoint_file(tmp_path / 'a.pth')


def test_file_without_dict_is_refused(tmp_path):
    torch.save(torch.zeros(3), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='holds a Tensor'):
        load_checkpoint_file(tmp_path / 'a.pth')


@pytest.mark.parametrize('legacy', [False, True])
def test_code_in_a_checkpoint_is_named_and_not_run(tmp_path, monkeypatch, legacy):
    monkeypatch.setenv('EVIL_FOLDER', str(tmp_path / 'evil'))
    torch.save({'a': Evil()}, tmp_path / 'a.pth', _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match=r'holds (posix|os)\.mkdir'):
        load_checkpoint_file(tmp_path / 'a.pth')
    assert not (tmp_path / 'evil').exists()


def test_getattr_reaches_log_history_alone(tmp_path):
    torch.save({'a': SneakyGetattr()}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='getattr of .*tofile.* refused'):
        load_checkpoint_file(tmp_path / 'a.pth')


def test_items_are_set_in_dicts_alone(tmp_path):
    """Before torch 2.10 they were set in anything, which reached beyond its memory."""
    torch.save({'a': ItemsOfATensor()}, tmp_path / 'a.pth')
    assert torch.load(tmp_path / 'a.pth', weights_only=False)['a'].tolist() == [9, 0, 0, 0]
    with pytest.raises(CheckpointError, match='a.pth is no checkpoint .*SETITEM'):
        load_checkpoint_file(tmp_path / 'a.pth')
