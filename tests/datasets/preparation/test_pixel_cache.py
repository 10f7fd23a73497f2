"""`tools/prepare_data.py --cache`: space, resuming, interruption, the command line."""

import os
import runpy
import sys
from collections import namedtuple

import pytest

from dsr_nss.datasets import DataError, pixel_cache
from dsr_nss.datasets.preparation import pixel_cache as preparation
from dsr_nss.datasets.preparation.pixel_cache import plan_cache, write_cache
from tests.datasets.test_pixel_cache import build, first_file, settings

# 4 images, 4 labels, 4 night images and their references of 24x32: a page for the header each, and
# one for the 2304 or 768 bytes of pixels
WHOLE = 16 * 2 * 4096


def plan(tmp_path, **changes):
    return plan_cache(settings(tmp_path, **changes), tmp_path / 'cache')


def entries(tmp_path):
    return sorted((tmp_path / 'cache').rglob('*.u8'))


def test_the_plan_states_the_space(tmp_path):
    found = plan(tmp_path)
    assert (len(found.files), found.to_write) == (16, 16)
    assert found.total_bytes == found.missing_bytes == WHOLE and found.free_bytes > 0
    assert not (tmp_path / 'cache').exists()
    text = f'{tmp_path}/cache: 16 files, 0.00 GB; 16 to write, 0.00 GB more; '
    assert text in str(found) and str(found).endswith(' GB free')


def test_the_plan_counts_what_is_there(tmp_path):
    write_cache(plan(tmp_path))
    written = sum(entry.stat().st_size for entry in entries(tmp_path))
    assert written <= WHOLE
    found = plan(tmp_path)
    assert found.to_write == 0 and found.missing_bytes == WHOLE - written
    entries(tmp_path)[0].unlink()
    assert plan(tmp_path).to_write == 1


def test_resized_files_count_at_their_size(tmp_path):
    found = plan(tmp_path, source_scale=(100, 200), target=None, crop_size=(8, 8))
    # 60,000 bytes an image, 20,000 a label, in blocks of 4096
    assert found.total_bytes == 4 * ((1 + 15) + (1 + 5)) * 4096


def test_too_little_space(tmp_path, monkeypatch):
    usage = namedtuple('usage', 'total used free')(0, 0, WHOLE)
    monkeypatch.setattr(preparation.shutil, 'disk_usage', lambda path: usage)
    with pytest.raises(DataError, match='needs 0.00 GB more.*are free there.*--out'):
        write_cache(plan(tmp_path))
    assert not (tmp_path / 'cache').exists()
    monkeypatch.setattr(
        preparation.shutil, 'disk_usage', lambda path: usage._replace(free=WHOLE + 8192)
    )
    write_cache(plan(tmp_path))


@pytest.mark.parametrize('workers', [1, 2])
def test_several_processes(tmp_path, workers):
    lines = write_cache(plan(tmp_path), workers=workers)
    assert lines == [f'{tmp_path}/cache: 16 entries written, 0 were there']
    build(tmp_path, settings(tmp_path))


def test_an_interrupted_run_is_resumed(tmp_path, monkeypatch):
    original, calls = pixel_cache.write_atomically, []

    def interrupted(path, content):
        calls.append(path)
        if len(calls) == 6:
            leftover = path.parent / f'.{path.name}.killed'
            leftover.write_bytes(content[:100])  # as SIGKILL would
            os.utime(leftover, (0, 0))
            raise KeyboardInterrupt
        return original(path, content)

    monkeypatch.setattr(pixel_cache, 'write_atomically', interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_cache(plan(tmp_path))
    assert len(entries(tmp_path)) == 5
    with pytest.raises(DataError, match='of 16 entries 11 missing'):
        build(tmp_path, settings(tmp_path))
    monkeypatch.undo()
    before = {path: path.stat().st_mtime_ns for path in entries(tmp_path)}
    lines = write_cache(plan(tmp_path))
    assert lines == [f'{tmp_path}/cache: 11 entries written, 5 were there']
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert not [path for path in (tmp_path / 'cache').rglob('.*')]
    build(tmp_path, settings(tmp_path))


def test_only_abandoned_files_of_its_own_are_removed(tmp_path):
    """Not what users keep in the folder, nor what another program is writing at this moment."""
    cache = tmp_path / 'cache'
    write_cache(plan(tmp_path))
    entry = entries(tmp_path)[0]
    kept = [cache / '.gitignore', entry.parent / '.env', entry.parent / f'.{entry.name}.young']
    gone = entry.parent / f'.{entry.name}.old'
    for path in (*kept, gone):
        path.write_text('x')
    for path in (*kept[:2], gone):
        os.utime(path, (0, 0))
    (cache / '.folder').mkdir()
    write_cache(plan(tmp_path))
    assert all(path.is_file() for path in kept) and (cache / '.folder').is_dir()
    assert not gone.exists()


def test_data_below_a_hidden_folder(tmp_path):
    hidden = tmp_path / '.hidden'
    hidden.mkdir()
    config = settings(hidden)
    write_cache(plan_cache(config, tmp_path / 'cache'))
    again = plan_cache(config, tmp_path / 'cache')
    assert again.to_write == 0
    write_cache(again)


@pytest.mark.parametrize('content', [b'', b'\x89PNG\r\n\x1a\n', b'<html>'])
def test_an_image_that_cannot_be_read(tmp_path, content):
    """It is named, and the others are written."""
    config = settings(tmp_path)
    path = first_file(tmp_path).path
    with open(path, 'wb') as file:
        file.write(content)
    plan = plan_cache(config, tmp_path / 'cache')
    with pytest.raises(DataError, match='aachen_000000_000019_leftImg8bit.png'):
        write_cache(plan)
    assert plan_cache(config, tmp_path / 'cache').to_write == 1


def test_another_kind_of_dataset(tmp_path):
    with pytest.raises(DataError, match='not a Cityscapes'):
        plan_cache(settings(tmp_path)['source'], tmp_path)


def run(repo_root, monkeypatch, *arguments):
    tool = str(repo_root / 'tools/prepare_data.py')
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(tool, run_name='__main__')
    return done.value.code


def test_command_line(tmp_path, repo_root, monkeypatch, capsys):
    config = tmp_path / 'config.py'
    config.write_text(
        f'train_dataloader = dict(dataset={settings(tmp_path)!r})\n'
        "model = dict(type='X')\ntrain_cfg = dict()\noptim_wrapper = dict()\n"
    )
    cache = tmp_path / 'elsewhere'
    arguments = ('--cache', config, '--out', cache, '--workers', 1)
    assert run(repo_root, monkeypatch, *arguments) == 0
    out = capsys.readouterr().out
    assert out.startswith(f'cache {cache}: 16 files') and '16 entries written' in out
    assert f"dataset=dict(cache='{cache}')" in out
    # the config's own field names the folder
    option = f'+train_dataloader.dataset.cache={cache}'
    assert run(repo_root, monkeypatch, '--cache', config, '--cfg-options', option) == 0
    assert '16 were there' in capsys.readouterr().out
    overlay = tmp_path / 'overlay.py'
    overlay.write_text(f"train_dataloader = dict(dataset=dict(cache='{cache}'))\n")
    assert run(repo_root, monkeypatch, '--cache', config, '--with', overlay) == 0
    assert '16 were there' in capsys.readouterr().out
    assert run(repo_root, monkeypatch, '--cache', tmp_path / 'gone.py') == 1
    assert capsys.readouterr().err.startswith('error: config not found')


def test_command_line_wants_one_of_both(repo_root, monkeypatch, capsys):
    assert run(repo_root, monkeypatch, 'acdc') == 2
    assert '--cache CONFIG' in capsys.readouterr().err
    assert run(repo_root, monkeypatch, 'acdc', 'data/acdc', '--cache', 'a.py') == 2
