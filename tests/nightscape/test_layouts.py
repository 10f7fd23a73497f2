"""The written Nightscape set: files, bytes, refusals, command line."""

import dataclasses
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from dsr_nss.nightscape import Settings, generate, parse_size
from dsr_nss.nightscape.generate import INFO_NAME, _info, prepare_folder
from dsr_nss.nightscape.layouts import Job, coarse_label, split_sizes, write_scene
from tests.command_lines import load_tool

SIZE = (32, 64)
SETTINGS = Settings(scenes=2, seed=5, source_size=SIZE, target_size=(36, 64))


def hashes(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('nightscape') / 'data'
    generate(root, SETTINGS, workers=2, show_progress=False)
    return root


def test_same_bytes_in_another_process_and_order(data, tmp_path):
    """One scene of every split, rendered here, equals what two workers wrote."""
    for split, count in reversed(split_sizes(SETTINGS.scenes).items()):
        size = SETTINGS.source_size if 'cityscapes' in split else SETTINGS.target_size
        write_scene(Job(split, count - 1, SETTINGS.seed, size, str(tmp_path)))
    mine, theirs = hashes(tmp_path), hashes(data)
    assert len(mine) == 24
    assert mine == {name: theirs[name] for name in mine}


@pytest.mark.slow
def test_same_bytes_whatever_the_workers(data, tmp_path):
    generate(tmp_path / 'again', SETTINGS, workers=1, show_progress=False)
    assert hashes(tmp_path / 'again') == hashes(data)


def names(folder: Path, suffix: str) -> set[str]:
    assert folder.is_dir(), folder
    found = {path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()}
    assert all(name.endswith(suffix) for name in found), (folder, found)
    return {name.removesuffix(suffix) for name in found}


def test_cityscapes_layout(data):
    sizes = split_sizes(2)
    for split in ('train', 'val'):
        root = data / 'cityscapes'
        images = names(root / 'leftImg8bit' / split, '_leftImg8bit.png')
        assert images == names(root / 'gtFine' / split, '_gtFine_labelTrainIds.png')
        assert len(images) == sizes[f'cityscapes/{split}']
    statistics = json.loads((data / 'cityscapes/class_statistics.json').read_text())
    assert len(statistics['files']) == sizes['cityscapes/train']


def test_dark_zurich_layout(data):
    sizes, root = split_sizes(2), data / 'dark_zurich'
    night = names(root / 'rgb_anon/train/night', '_rgb_anon.png')
    day = names(root / 'rgb_anon/train/day', '_rgb_anon.png')
    assert len(night) == len(day) == sizes['dark_zurich/train']
    (table,) = (root / 'corresp/train/night').rglob('*.csv')
    rows = [line.split(',') for line in table.read_text().splitlines()]
    assert {row[0] for row in rows} == {f'train/night/{name}' for name in night}
    assert {row[1] for row in rows} == {f'train/day/{name}' for name in day}
    for split in ('val', 'test'):
        images = names(root / 'rgb_anon' / split / 'night', '_rgb_anon.png')
        references = names(root / 'rgb_anon' / f'{split}_ref' / 'day', '_ref_rgb_anon.png')
        assert {Path(name).name for name in images} == {Path(name).name for name in references}
        assert len(images) == sizes[f'dark_zurich/{split}']
    labels = names(root / 'gt/val/night', '_gt_labelTrainIds.png')
    assert labels == names(root / 'rgb_anon/val/night', '_rgb_anon.png')
    assert not (root / 'gt/test').exists() and not (root / 'gt/train').exists()


def test_acdc_and_nighttime_driving_layouts(data):
    root = data / 'acdc'
    for split in ('train', 'val', 'test'):
        images = names(root / 'rgb_anon/night' / split, '_rgb_anon.png')
        assert images == names(root / 'rgb_anon/night' / f'{split}_ref', '_rgb_ref_anon.png')
        if split != 'test':
            assert images == names(root / 'gt/night' / split, '_gt_labelTrainIds.png')
    assert not (root / 'gt/night/test').exists()
    root = data / 'nighttime_driving'
    images = names(root / 'leftImg8bit/test/night', '_leftImg8bit.png')
    labels = root / 'gtCoarse_daytime_trainvaltest/test/night'
    assert images == names(labels, '_gtCoarse_labelTrainIds.png')


def test_truth_belongs_to_the_train_pairs(data):
    night = {
        path.name.removesuffix('_rgb_anon.png')
        for path in data.glob('dark_zurich/rgb_anon/train/night/*/*')
    }
    flows = {path.stem: path for path in (data / 'truth/flow').iterdir()}
    assert set(flows) == night
    with np.load(flows[min(flows)]) as content:
        assert content['flow'].shape == (2, 36, 64) and content['flow'].dtype == np.float32
        for key in ('valid', 'occluded'):
            assert content[key].shape == (36, 64) and content[key].dtype == bool
    for time in ('night', 'day'):
        labels = names(data / 'truth/labels/train' / time, '_gt_labelTrainIds.png')
        assert labels == names(data / 'dark_zurich/rgb_anon/train' / time, '_rgb_anon.png')


def test_sizes_and_label_ids(data):
    for path in data.rglob('*.png'):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        expected = SIZE if 'cityscapes' in path.parts else (36, 64)
        assert image.shape[:2] == expected, path
        if 'labelTrainIds' in path.name:
            assert image.ndim == 2 and set(np.unique(image)) <= {*range(19), 255}, path
        else:
            assert image.ndim == 3, path


def test_no_scene_is_in_two_splits(data):
    images = [h for name, h in hashes(data).items() if 'rgb_anon' in name or 'leftImg' in name]
    assert len(set(images)) == len(images)


def test_info_names_what_was_generated(data):
    info = json.loads((data / 'nightscape.json').read_text())
    assert info['complete'] and info['seed'] == 5 and info['scenes'] == 2
    assert info['source_size'] == [32, 64] and info['target_size'] == [36, 64]


def test_120_scenes_give_the_documented_counts():
    sizes = split_sizes(120)
    assert sizes['cityscapes/train'] == 120 and sizes['dark_zurich/val'] == 30
    assert 60 <= sizes['dark_zurich/train'] <= 120


def test_coarse_label_ignores_borders_alone():
    label = np.zeros((64, 64), np.uint8)
    label[:, 32:] = 13
    coarse = coarse_label(label)
    assert (coarse[:, 31:33] == 255).all()
    assert (coarse[:, :28] == 0).all() and (coarse[:, 36:] == 13).all()


def test_foreign_folder_is_refused_and_kept(tmp_path):
    (tmp_path / 'cityscapes').mkdir()
    (tmp_path / 'cityscapes/precious.txt').write_text('kept')
    with pytest.raises(FileExistsError, match='--overwrite'):
        generate(tmp_path, SETTINGS, show_progress=False)
    with pytest.raises(FileExistsError, match='cityscapes'):
        generate(tmp_path, SETTINGS, overwrite=True, show_progress=False)
    assert (tmp_path / 'cityscapes/precious.txt').read_text() == 'kept'


def test_whole_set_of_other_settings_is_replaced_on_demand_alone(tmp_path):
    (tmp_path / 'cityscapes').mkdir()
    other = dataclasses.replace(SETTINGS, seed=6)

    def write(**changes):
        info = {**_info(SETTINGS), 'complete': True, **changes}
        (tmp_path / INFO_NAME).write_text(json.dumps(info))

    write()
    with pytest.raises(FileExistsError, match='seed 5, not 6.*--overwrite'):
        prepare_folder(tmp_path, other, overwrite=False)
    assert (tmp_path / 'cityscapes').is_dir()
    write(version=0)
    with pytest.raises(FileExistsError, match='version 0, not'):
        prepare_folder(tmp_path, SETTINGS, overwrite=False)
    prepare_folder(tmp_path, other, overwrite=True)
    assert not (tmp_path / 'cityscapes').exists()


@pytest.mark.parametrize('info', ['the same', 'unfinished', 'cut off'])
def test_set_that_nobody_loses_is_made_anew(tmp_path, info):
    (tmp_path / 'cityscapes').mkdir()
    known = {**_info(SETTINGS), 'complete': info == 'the same'}
    known |= {} if known['complete'] else {'seed': 9}
    text = json.dumps(known)
    (tmp_path / INFO_NAME).write_text(text[:40] if info == 'cut off' else text)
    prepare_folder(tmp_path, SETTINGS, overwrite=False)
    assert not (tmp_path / 'cityscapes').exists()


@pytest.mark.parametrize('text', ['256', '256x', 'axb', '256x512x3', ''])
def test_bad_size_is_explained(text):
    with pytest.raises(ValueError, match='256x512'):
        parse_size(text)


def test_sizes_are_parsed():
    assert parse_size('64x128') == ((64, 128), (64, 128))
    assert parse_size('full') == ((1024, 2048), (1080, 1920))


@pytest.mark.parametrize('changes', [{'scenes': 0}, {'seed': -1}, {'source_size': (512, 256)}])
def test_bad_settings_are_explained(changes):
    with pytest.raises(ValueError, match='must'):
        Settings(**{**SETTINGS.__dict__, **changes})


@pytest.fixture
def tool():
    return load_tool('make_nightscape')


def test_command_line_passes_its_options_on(tool, monkeypatch, tmp_path, capsys):
    calls = []

    def fake(out, settings, **options):
        calls.append((out, settings, options))
        return split_sizes(settings.scenes)

    monkeypatch.setattr('dsr_nss.nightscape.generate', fake)
    options = ['--scenes', '7', '--size', 'full', '--seed', '3', '--workers', '2', '--overwrite']
    assert tool.main([str(tmp_path / 'set'), *options]) == 0
    settings = Settings(scenes=7, seed=3, source_size=(1024, 2048), target_size=(1080, 1920))
    assert calls == [(tmp_path / 'set', settings, {'workers': 2, 'overwrite': True})]
    printed = capsys.readouterr().out
    assert str(tmp_path / 'set') in printed and 'dark_zurich/val' in printed


def test_command_line_explains_refusals(tool, tmp_path, capsys):
    (tmp_path / 'notes.txt').write_text('kept')
    assert tool.main([str(tmp_path)]) == 1
    assert 'not a Nightscape set' in capsys.readouterr().err
    assert tool.main([str(tmp_path / 'new'), '--size', '256']) == 1
    assert '256x512' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tool.main([])


def test_preview_is_a_picture(tool, tmp_path, monkeypatch):
    from dsr_nss.nightscape import preview

    monkeypatch.setattr(preview, '_HEIGHT', 32)
    assert tool.main(['--preview', str(tmp_path / 'docs/preview.png')]) == 0
    assert cv2.imread(str(tmp_path / 'docs/preview.png')).shape[0] > 64
    assert tool.main(['--preview', str(tmp_path / 'preview.txt')]) == 1
