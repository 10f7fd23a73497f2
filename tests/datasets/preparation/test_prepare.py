"""`tools/prepare_data.py`: complete, incomplete and missing downloads."""

import os
import re
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from dsr_nss.datasets import DataError
from dsr_nss.datasets.class_statistics import load_class_counts
from dsr_nss.datasets.preparation import NAMES, prepare
from dsr_nss.datasets.preparation.prepare import Options
from dsr_nss.datasets.published import PUBLISHED
from tests.datasets.tiny_sets import (
    make_acdc,
    make_cityscapes,
    make_dark_zurich,
    make_nighttime_driving,
    write_image,
    write_label,
)


def run(name, root, subset=True, **kwargs):
    return prepare(name, Options(root=root, **kwargs), subset=subset)


def test_every_published_set_has_a_preparation():
    assert set(NAMES) == set(PUBLISHED)


def test_cityscapes(tmp_path):
    root = make_cityscapes(tmp_path, statistics=False)
    lines = run('cityscapes', root)
    assert 'gtFine/train: 4 of 2975 - from gtFine_trainvaltest.zip' in lines
    assert len(load_class_counts(root / 'class_statistics.json')[0]) == 4


def test_dark_zurich(tmp_path):
    lines = run('dark_zurich', make_dark_zurich(tmp_path))
    assert any(
        line.endswith('pairs_train.txt: 4 night images, 4 with a day reference') for line in lines
    )
    assert lines[-1] == '2 labels are as large as their images'
    first = (tmp_path / 'pairs_train.txt').read_text().splitlines()[0]
    assert first == (
        'rgb_anon/train/night/GOPR1/GOPR1_frame_000000_rgb_anon.png '
        'rgb_anon/train/day/GOPR2/GOPR2_frame_000009_rgb_anon.png'
    )


def test_linked_cities_and_sequences(tmp_path):
    """A part of a set, made of links to the folders of another."""
    cities, sequences = make_cityscapes(tmp_path / 'a'), make_dark_zurich(tmp_path / 'b')
    for path in cities.glob('gtFine/train/*/*labelTrainIds.png'):  # as published: label ids
        path.rename(str(path).replace('labelTrainIds', 'labelIds'))
        write_label(Path(str(path).replace('labelTrainIds', 'labelIds')), np.full((24, 32), 26))
    part = tmp_path / 'part'
    for folder in (*cities.glob('*/*/*'), *sequences.glob('*/*/*/*')):
        link = part / folder.relative_to(tmp_path)
        if folder.is_dir():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(folder)
    lines = run('cityscapes', part / 'a')
    assert 'leftImg8bit/train: 4 of 2975 - from leftImg8bit_trainvaltest.zip' in lines
    counts, _ = load_class_counts(part / 'a/class_statistics.json')
    assert list(counts.values()) == [{13: 24 * 32}] * 4
    shutil.copytree(sequences / 'corresp', part / 'b/corresp')
    assert any('4 with a day reference' in line for line in run('dark_zurich', part / 'b'))


def test_dark_zurich_with_a_missing_day_image(tmp_path):
    make_dark_zurich(tmp_path)
    (tmp_path / 'rgb_anon/train/day/GOPR2/GOPR2_frame_000008_rgb_anon.png').unlink()
    with pytest.raises(DataError, match='1 day references are not below .*GOPR2_frame_000008'):
        run('dark_zurich', tmp_path)
    assert not (tmp_path / 'pairs_train.txt').exists()


def test_acdc_and_nighttime_driving(tmp_path):
    assert run('acdc', make_acdc(tmp_path / 'acdc'))[-2] == 'complete; nothing to make'
    root = make_nighttime_driving(tmp_path / 'nd')
    assert run('nighttime_driving', root)[0].startswith('leftImg8bit/test/night: 2 of 50')


def test_fewer_files_than_published(tmp_path):
    root = make_dark_zurich(tmp_path)
    with pytest.raises(DataError) as error:
        run('dark_zurich', root, subset=False)
    assert 'rgb_anon/train/night: 4 of 2416 - from Dark_Zurich_train_anon.zip' in str(error.value)
    assert '--subset' in str(error.value)


def test_missing_folders_name_their_archives(tmp_path):
    root = make_dark_zurich(tmp_path)
    shutil.rmtree(root / 'gt')
    shutil.rmtree(root / 'rgb_anon/train/day')
    shutil.rmtree(root / 'rgb_anon/test')  # optional
    with pytest.raises(FileNotFoundError) as error:
        run('dark_zurich', root)
    message = str(error.value)
    assert 'rgb_anon/train/day (from Dark_Zurich_train_anon.zip)' in message
    assert 'gt/val/night (from Dark_Zurich_val_anon.zip)' in message
    assert 'rgb_anon/test' not in message and 'trace.ethz.ch' in message


def test_missing_root_names_all_archives(tmp_path):
    with pytest.raises(
        FileNotFoundError, match='gtFine_trainvaltest.zip, leftImg8bit_trainvaltest'
    ):
        run('cityscapes', tmp_path / 'nowhere')


def test_camvid_needs_a_target_folder(tmp_path, rng):
    for split in ('train', 'val', 'test'):
        write_image(tmp_path / split / '0006R0_f00000.png', rng)
        write_image(tmp_path / f'{split}annot/0006R0_f00000.png', rng)
    with pytest.raises(ValueError, match='--out data/camvid_dusk'):
        run('camvid', tmp_path)


def test_command_line(tmp_path, repo_root, monkeypatch, capsys):
    tool, root = str(repo_root / 'tools/prepare_data.py'), str(make_dark_zurich(tmp_path))
    monkeypatch.setattr(sys, 'argv', [tool, 'dark_zurich', root, '--subset'])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(tool, run_name='__main__')
    assert done.value.code == 0 and '4 night images' in capsys.readouterr().out
    monkeypatch.setattr(sys, 'argv', [tool, 'acdc', root])
    with pytest.raises(SystemExit) as failed:
        runpy.run_path(tool, run_name='__main__')
    assert failed.value.code == 1
    assert capsys.readouterr().err.startswith('error: ACDC: missing or empty below')


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['acdc'], 'name one: a data set and its folder'),
        (['acdc', 'a', '--cache', 'c.py'], 'name one'),
        (['--label-ids', 'a', '--verify'], '--verify is of cityscapes, .*out with --label-ids'),
        (['acdc', 'a', '--out', 'b'], '--out is of camvid, --cache; leave it out with acdc'),
        (['acdc', 'a', '--cfg-options', 'a=1'], '--cfg-options is of --cache'),
        (['acdc', 'a', '--night-list', 'b'], '--night-list is of bdd100k_night'),
    ],
)
def test_options_of_another_kind_of_call(run_tool, capsys, words, message):
    with pytest.raises(SystemExit):
        run_tool('prepare_data', *words)
    assert re.search(message, capsys.readouterr().err)


def test_labels_of_another_size_are_named(tmp_path, rng):
    make_acdc(tmp_path)
    labels = sorted((tmp_path / 'gt/night').rglob('*.png'))
    write_label(labels[0], np.zeros((5, 7)))
    write_label(labels[3], np.zeros((6, 7)))
    with pytest.raises(DataError, match='2 of 8 labels cannot be used') as failure:
        run('acdc', tmp_path)
    for label, size in ((labels[0], '5x7'), (labels[3], '6x7')):
        assert f'is 24x32 (height x width) but its label {label} is {size}' in str(failure.value)


@pytest.mark.parametrize('workers', [1, 2])
def test_every_file_is_opened(tmp_path, workers):
    make_acdc(tmp_path)
    options = Options(tmp_path, workers=workers)
    # 2 images, 2 references of 2 conditions and 3 splits, and the labels of 2 splits
    assert prepare('acdc', options, True, verify_files=True)[-1] == '32 files opened, all usable'
    label = next((tmp_path / 'gt/night').rglob('*.png'))
    write_label(label, np.full((24, 32), 33))
    images = sorted((tmp_path / 'rgb_anon/fog').rglob('*.png'))
    images[0].write_bytes(images[0].read_bytes()[:-30])
    images[1].unlink()
    os.mkfifo(images[1])
    write_image(images[6], np.random.default_rng(0), (8, 8))
    with pytest.raises(DataError, match='4 of 32 files cannot be used') as failure:
        prepare('acdc', options, True, verify_files=True)
    for path, text in (
        (label, 'has the ids [33]'),
        (images[0], 'the file is truncated'),
        (images[1], 'a pipe, not a file'),
        (images[6], '8x8'),
    ):
        assert any(str(path) in line and text in line for line in str(failure.value).split('\n'))
