"""What lies in folders under the name of an image: it is named, and the others are done."""

import os
import socket

import numpy as np
import pytest
from PIL import Image

from dsr_nss.classes import CLASSES
from dsr_nss.datasets.pixel_cache import CachedFiles, write_entry
from dsr_nss.datasets.pixels import PixelFile
from dsr_nss.errors import DataError
from dsr_nss.evaluation.evaluate import evaluate
from dsr_nss.evaluation.score import score
from dsr_nss.evaluation.submission_formats import expected_images, submission_format
from dsr_nss.files import remove_abandoned, temporary_prefix, write_atomically
from dsr_nss.inference import predictor as predictor_module
from dsr_nss.inference.load import read_model_config
from tests.datasets.test_images import huge_png

#: Name of the entry -> what must be said of it.
ENTRIES = {
    'pipe.png': 'a pipe, not a file',
    'socket.png': 'a socket, not a file',
    'device.png': 'a device, not a file',
    'loop.png': 'Too many levels of symbolic links',
    'huge.png': 'scale it down',
}
LONG = 'n' * 250


def put(folder, entry):
    path = folder / entry
    kind = path.stem
    if kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'socket':
        here = os.getcwd()
        os.chdir(folder)  # the path of a socket is short
        try:
            socket.socket(socket.AF_UNIX).bind(entry)
        finally:
            os.chdir(here)
    elif kind == 'device':
        path.symlink_to('/dev/zero')
    elif kind == 'loop':
        path.symlink_to(path)
    else:
        path.write_bytes(huge_png(24_500))
    return path


def test_prediction_does_the_others(tmp_path, predict):
    folder = tmp_path / 'images'
    folder.mkdir()
    for entry in ENTRIES:
        put(folder, entry)
    os.mkfifo(folder / 'clip.mp4')
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    for name in ('good', LONG, 'é' * 120):
        Image.fromarray(pixels).save(folder / f'{name}.png')
    report = predict(folder, tmp_path / 'out')
    failed = {path.name: text for path, text in report.failed.items()}
    assert failed.keys() == ENTRIES.keys() | {'clip.mp4'}
    for entry, text in {**ENTRIES, 'clip.mp4': 'a pipe, not a file'}.items():
        assert entry in failed[entry] and text in failed[entry]
    for name in ('good', LONG, 'é' * 120):
        assert (tmp_path / f'out/labelTrainIds/{name}.png').is_file()
    again = predict(folder, tmp_path / 'out')
    assert (again.kept, len(again.failed)) == (3, 6)


@pytest.mark.parametrize(
    ('error', 'is_memory'),
    [
        (MemoryError(), True),
        (RuntimeError("can't allocate memory: 9 B"), True),
        (RuntimeError('another'), False),
    ],
)
def test_the_network_runs_out_of_memory(tmp_path, predict, monkeypatch, error, is_memory):
    real = predictor_module.predict_batch

    def predict_batch(model, data, *arguments, **options):
        if data['inputs'][0].shape[-1] == 40:
            raise error
        return real(model, data, *arguments, **options)

    monkeypatch.setattr(predictor_module, 'predict_batch', predict_batch)
    (tmp_path / 'images').mkdir()
    for number, width in enumerate((40, 24, 40)):
        Image.new('RGB', (width, 16)).save(tmp_path / f'images/{number}.png')
    if not is_memory:
        with pytest.raises(RuntimeError, match='another'):
            predict(tmp_path / 'images', tmp_path / 'out')
        return
    report = predict(tmp_path / 'images', tmp_path / 'out')
    assert report.predicted == 1
    assert ['memory' in text for text in report.failed.values()] == [True, True]


@pytest.mark.parametrize('workers', [1, 2])
def test_scores_name_every_file(tmp_path, workers):
    for folder in ('predicted', 'labels'):
        (tmp_path / folder).mkdir()
        for entry in ('good.png', *ENTRIES):
            Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / folder / entry)
    for entry in ENTRIES:
        (tmp_path / 'predicted' / entry).unlink()
        put(tmp_path / 'predicted', entry)
    with pytest.raises(DataError, match='5 of 6 files cannot be used') as failure:
        score(tmp_path / 'predicted', tmp_path / 'labels', workers=workers, progress=False)
    assert all(entry in str(failure.value) for entry in ENTRIES)
    for entry in ENTRIES:
        (tmp_path / 'predicted' / entry).unlink()
        (tmp_path / 'labels' / entry).unlink()
    scores = score(tmp_path / 'predicted', tmp_path / 'labels', workers=workers, progress=False)
    assert scores[f'IoU/{CLASSES[0]}'] == 100


def test_the_folder_of_test_images(tmp_path):
    names = {}
    for number, entry in enumerate(ENTRIES):
        frame = f'GOPR0356_frame_{number:06d}_rgb_anon.png'
        put(tmp_path, entry).rename(tmp_path / frame)
        names[frame] = 'Too many levels' if entry.startswith('loop') else ENTRIES[entry]
    (tmp_path / 'GOPR0356_frame_000003_rgb_anon.png').unlink()
    link = tmp_path / 'GOPR0356_frame_000003_rgb_anon.png'
    link.symlink_to(link)
    with pytest.raises(DataError, match='5 of 5 test images cannot be used') as failure:
        expected_images([tmp_path], submission_format('acdc'))
    assert all(name in str(failure.value) for name in names)


def test_a_set_is_tested_to_its_end(tmp_path, config_file, checkpoint, data_root):
    """Predictions of the others are written; there is no score of a part."""
    (data_root / 'images/b/0.jpg').write_bytes(b'\xff\xd8')
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(data_root / 'labels/a/0.png')
    config = read_model_config(config_file)
    with pytest.raises(DataError, match='night_val: 2 of 3 images cannot be used') as failure:
        evaluate(config, checkpoint, out=tmp_path / 'out', device='cpu', workers=1)
    assert 'b/0.jpg: the file is truncated' in str(failure.value)
    assert 'labels/a/0.png is 3x3' in str(failure.value)
    made = (tmp_path / 'out/night_val/labelTrainIds').rglob('*.png')
    assert [path.relative_to(tmp_path / 'out').as_posix() for path in made] == [
        'night_val/labelTrainIds/b/1.png'
    ]


def test_names_as_long_as_they_can_be(tmp_path):
    for name in ('a.png', 'n' * 255, 'é' * 127):
        path = tmp_path / name
        write_atomically(path, b'x')
        assert path.read_bytes() == b'x' and list(tmp_path.iterdir()) == [path]
        left = tmp_path / f'{temporary_prefix(path)}abc'
        left.touch()
        os.utime(left, (0, 0))
        remove_abandoned([path])
        assert list(tmp_path.iterdir()) == [path]
        path.unlink()
    assert temporary_prefix(tmp_path / ('n' * 254 + 'a')) != temporary_prefix(
        tmp_path / ('n' * 254 + 'b')
    )


def test_a_cache_of_long_names(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    file = PixelFile(str(tmp_path / f'{LONG}x.png'), False, None)
    Image.fromarray(pixels).save(file.path)
    write_entry(tmp_path / 'cache', file)
    np.testing.assert_array_equal(CachedFiles(tmp_path / 'cache', [file]).read(file).array, pixels)
