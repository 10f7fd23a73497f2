"""Folders of runs: which one is free, and what makes a run another one."""

import os

import pytest
from mmengine.config import Config

from dsr_nss.engine.work_dirs import check_folder, check_writable, numbered_work_dir, saved_config
from dsr_nss.errors import CheckpointError, ConfigError


def config_of(folder, **changes):
    content = dict(model=dict(alpha=1.0), train_cfg=dict(max_iters=6), randomness=dict(seed=0))
    return Config(content | changes | dict(work_dir=str(folder)))


@pytest.fixture
def used(tmp_path):
    """A folder in which a run has begun, and files that are no config of a run."""
    folder = tmp_path / 'run'
    folder.mkdir()
    config_of(folder).dump(str(folder / 'first.py'))
    (folder / 'notes.py').write_text('import os')
    (folder / 'part.py').write_text('alpha = 3')
    return folder


def test_another_config_or_seed_is_refused_with_both_named(used):
    check_folder(config_of(used))
    with pytest.raises(ConfigError) as error:
        check_folder(config_of(used, model=dict(alpha=0.5), randomness=dict(seed=3)))
    text = str(error.value)
    assert 'another run, whose config is first.py' in text
    assert '\n    model.alpha: 1.0 -> 0.5\n    randomness.seed: 0 -> 3\n' in text
    assert f'Add --new to train in {used}-2' in text
    check_folder(config_of(used, model=dict(alpha=0.5)), allow_changes=True)


def test_what_decides_nothing_may_differ(used):
    check_folder(config_of(used, log_level='ERROR', test_sets=dict(a=1)))


def test_checkpoints_are_refused_and_a_resumed_run_is_judged_by_them(used):
    (used / 'iter_3.pth').touch()
    with pytest.raises(CheckpointError, match='add --resume to continue it or --new'):
        check_folder(config_of(used))
    own = dict(resume=True, load_from=str(used / 'iter_3.pth'))
    check_folder(config_of(used, model=dict(alpha=0.5), **own))
    elsewhere = config_of(used, resume=True, load_from=str(used.parent / 'other/iter_2.pth'))
    with pytest.raises(CheckpointError, match='checkpoints of another run, up to iter_3.pth, than'):
        check_folder(elsewhere)


def test_another_start_is_another_run(used):
    with pytest.raises(ConfigError, match='load_from: None -> start.pth'):
        check_folder(config_of(used, load_from='start.pth'))


def test_a_best_state_is_of_an_earlier_run(used):
    (used / 'best_iter_2.pth').touch()
    with pytest.raises(CheckpointError, match='of an earlier run, up to best_iter_2.pth'):
        check_folder(config_of(used))


def test_the_current_folder_has_a_numbered_one_beside_it(used, monkeypatch):
    monkeypatch.chdir(used)
    assert numbered_work_dir('.') == f'{used}-2'


def test_the_latest_config_counts(used):
    config_of(used, model=dict(alpha=2.0)).dump(str(used / 'a.py'))
    os.utime(used / 'first.py', (1, 1))
    path, values = saved_config(used)
    assert path.name == 'a.py' and values['model']['alpha'] == 2.0


def test_numbers_count_up_and_an_unused_folder_is_taken(used, tmp_path):
    assert numbered_work_dir(tmp_path / 'other') == str(tmp_path / 'other')
    assert numbered_work_dir(used) == f'{used}-2'
    (tmp_path / 'run-2').mkdir()
    assert numbered_work_dir(used) == f'{used}-3'


def test_a_folder_that_cannot_be_made_is_named_and_none_is_made(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError, match='cannot write to .*file/out .*file is a file'):
        check_writable(tmp_path / 'file/out')
    check_writable(tmp_path / 'a/b')
    assert not (tmp_path / 'a').exists()
