"""Which checkpoint of a work dir is continued from."""

import re
import shutil

import pytest
import torch
from training_states import save_state

from dsr_nss.engine import resume_points
from dsr_nss.engine.resume_points import (
    check_new_run,
    check_pointer,
    checkpoints_of,
    latest_checkpoint,
    resume_point,
)
from dsr_nss.errors import CheckpointError


def test_the_largest_number_is_the_newest(tmp_path):
    for name in ('iter_9.pth', 'iter_10.pth', 'iter_x.pth', 'best.pth', 'iter_11.txt'):
        (tmp_path / name).touch()
    assert [path.name for path in checkpoints_of(tmp_path)] == ['iter_10.pth', 'iter_9.pth']
    assert latest_checkpoint(tmp_path) == tmp_path / 'iter_10.pth'


def test_an_empty_or_missing_work_dir_has_none(tmp_path):
    assert resume_point(tmp_path) is None and resume_point(tmp_path / 'gone') is None
    assert latest_checkpoint(tmp_path) is None


def no_pointer(path):
    pass


def link_to_nothing(path):
    path.symlink_to(path.parent / 'gone')


@pytest.mark.parametrize(
    'make',
    [
        no_pointer,
        lambda path: path.write_text(''),
        lambda path: path.write_bytes(bytes(range(128, 256))),
        lambda path: path.write_text('/former/place/iter_3.pth'),
        lambda path: path.mkdir(),
        link_to_nothing,
    ],
)
def test_the_pointer_decides_nothing(tmp_path, make):
    for number in (3, 6):
        save_state(tmp_path, number)
    make(tmp_path / 'last_checkpoint')
    assert resume_point(tmp_path) == tmp_path / 'iter_6.pth'


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def flip(path):
    data = bytearray(path.read_bytes())
    data[data.index(b'state_dict')] ^= 1
    path.write_bytes(bytes(data))


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    'damage, reason',
    [
        (cut, 'iter_9.pth is cut off'),
        (flip, 'iter_9.pth is damaged'),
        (lambda path: path.write_bytes(b''), 'iter_9.pth is cut off'),
        (replace_by_folder, 'iter_9.pth is a folder'),
        (lambda path: save_state(path.parent, 3).replace(path), 'is named iteration 9 but holds'),
        (lambda path: path.unlink() or path.symlink_to('gone'), 'not found: .*iter_9.pth'),
    ],
)
def test_a_newer_one_that_is_damaged_is_passed_over_and_named(
    tmp_path, monkeypatch, damage, reason
):
    save_state(tmp_path, 6)
    damage(save_state(tmp_path, 9))
    said = []
    monkeypatch.setattr(resume_points, 'print_log', said.append)
    assert resume_point(tmp_path) == tmp_path / 'iter_6.pth'
    assert said[0].startswith('passed over: ') and re.search(reason, said[0]), said
    assert said[1].startswith(f'resuming from {tmp_path}/iter_6.pth')


def test_nothing_begins_beside_checkpoints_that_cannot_be_read(tmp_path):
    for number in (6, 9):
        cut(save_state(tmp_path, number))
    with pytest.raises(CheckpointError, match='2 checkpoint.s., but none.*iter_9.*iter_6.*Name'):
        resume_point(tmp_path)


def test_weights_alone_are_no_point_to_resume_from(tmp_path):
    path = save_state(tmp_path, 6)
    torch.save(dict(state_dict={}, meta=dict(iter=6)), path)
    with pytest.raises(CheckpointError, match='iter_6.pth holds no optimizer, message_hub'):
        resume_point(tmp_path)


def test_checkpoints_of_other_names_are_not_passed_over_in_silence(tmp_path):
    shutil.move(save_state(tmp_path, 6), tmp_path / 'epoch_6.pth')
    with pytest.raises(CheckpointError, match=r'holds epoch_6.pth but no .* iter_N.pth'):
        resume_point(tmp_path)


@pytest.mark.parametrize(
    'make', [lambda path: path.write_text('/gone/iter_4.pth'), link_to_nothing, lambda p: p.mkdir()]
)
def test_a_pointer_without_its_checkpoint_is_no_beginning(tmp_path, make):
    make(tmp_path / 'last_checkpoint')
    with pytest.raises(CheckpointError, match='holds last_checkpoint but no checkpoint named'):
        resume_point(tmp_path)


def test_a_new_run_does_not_overwrite_an_earlier_one(tmp_path):
    check_new_run(tmp_path)
    save_state(tmp_path, 4)
    with pytest.raises(CheckpointError, match='an earlier run, up to iter_4.pth: add --resume'):
        check_new_run(tmp_path)


def test_a_folder_in_the_place_of_the_pointer_is_refused_before_training(tmp_path):
    check_pointer(tmp_path)
    (tmp_path / 'last_checkpoint').mkdir()
    with pytest.raises(CheckpointError, match='last_checkpoint is a folder'):
        check_pointer(tmp_path)
