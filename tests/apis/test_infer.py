"""`tools/infer.py` on made files: mixed sizes, broken files, a video, and runs that go on."""

import importlib.util
import sys

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from dsr_nss.apis import infer as infer_module
from dsr_nss.apis.evaluate import evaluate
from dsr_nss.apis.infer import infer
from dsr_nss.apis.infer_inputs import find_inputs, read_upright
from dsr_nss.apis.models import read_model_config
from dsr_nss.apis.video import VideoFile, frame_rate, read_frames, video_length
from dsr_nss.classes import PALETTE
from dsr_nss.datasets.errors import DataError
from dsr_nss.engine.errors import ConfigError

NAMES = ('a/0', 'b/0', 'b/1')
FRAMES = 5


def read(path):
    return np.array(Image.open(path))


def make_video(path, size=(24, 40)):
    """Frames that differ, in a codec that keeps every bit."""
    rng = np.random.default_rng(1)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'FFV1'), 10, size[::-1])
    for _ in range(FRAMES):
        writer.write(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    writer.release()
    return path


@pytest.fixture
def predict(config_file, checkpoint):
    def call(inputs, out, **options):
        options = dict(device='cpu', progress=False) | options
        inputs = inputs if isinstance(inputs, list) else [inputs]
        return infer(read_model_config(config_file), checkpoint, inputs, out, **options)

    return call


@pytest.fixture
def seen(monkeypatch):
    """Sizes of the batches that went through the network."""
    sizes = []
    real = infer_module.predict_batch

    def count(model, data, *args, **options):
        sizes.append(len(data['inputs']))
        return real(model, data, *args, **options)

    monkeypatch.setattr(infer_module, 'predict_batch', count)
    return sizes


@pytest.fixture
def run_here(repo_root, monkeypatch):
    """The command line in this process: without the seconds that importing takes."""
    spec = importlib.util.spec_from_file_location('tools_infer', repo_root / 'tools/infer.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def main(*arguments):
        monkeypatch.setattr(sys, 'argv', ['infer.py', *map(str, arguments), '--device', 'cpu'])
        return module.main()

    return main


@pytest.mark.parametrize(('workers', 'batch_size', 'tta'), [(2, 2, False), (0, 1, True)])
def test_folder_gives_what_the_test_gives(
    predict, tmp_path, config_file, checkpoint, data_root, workers, batch_size, tta
):
    options = dict(workers=workers, tta=tta)
    report = predict(
        data_root / 'images', tmp_path / 'out', overlays=True, batch_size=batch_size, **options
    )
    assert (report.images, report.predicted, report.failed) == (3, 3, {})
    config = read_model_config(config_file)
    evaluate(
        config, checkpoint, out=tmp_path / 'test', device='cpu', progress=False, workers=0, tta=tta
    )
    for name in NAMES:
        ids = read(tmp_path / f'out/labelTrainIds/{name}.png')
        expected = read(tmp_path / f'test/night_val/labelTrainIds/{name}.png')
        assert np.mean(ids != expected) < 0.005  # batches round in another order: near-ties
        colours = np.array(PALETTE, np.uint8)[ids]
        assert np.array_equal(read(tmp_path / f'out/color/{name}.png'), colours)
        image = read_upright(data_root / f'images/{name}.jpg')
        mixed = (image.astype(float) + colours) / 2
        assert np.abs(read(tmp_path / f'out/overlay/{name}.png') - mixed).max() <= 0.5


def test_images_of_one_size_share_a_batch(predict, tmp_path, data_root, seen):
    predict(data_root / 'images', tmp_path / 'out', batch_size=2)
    assert seen == [1, 1, 1]  # neighbours differ in size
    (data_root / 'images/b/0.jpg').unlink()
    seen.clear()
    predict(data_root / 'images', tmp_path / 'again', batch_size=2)
    assert seen == [2]


def test_a_stopped_run_goes_on(predict, tmp_path, data_root, seen):
    out = tmp_path / 'out'
    predict(data_root / 'images', out)
    first = {path: path.read_bytes() for path in out.rglob('*.png')}
    (out / 'labelTrainIds/b/0.png').unlink()
    (out / 'color/a/0.png').unlink()
    seen.clear()
    report = predict(data_root / 'images', out)
    assert seen == [1] and report.predicted == 1 and report.images == 3  # colours need no network
    assert {path: path.read_bytes() for path in out.rglob('*.png')} == first
    assert not [path for path in out.rglob('.*')]  # nothing half-written
    assert predict(data_root / 'images', out).predicted == 0
    assert predict(data_root / 'images', out, overwrite=True).predicted == 3


def test_results_of_two_models_do_not_mix(predict, tmp_path, data_root):
    out = tmp_path / 'out'
    predict(data_root / 'images', out)
    with pytest.raises(ConfigError, match=r'another run \(different: tta\).*--overwrite'):
        predict(data_root / 'images', out, tta=True)
    assert predict(data_root / 'images', out, tta=True, overwrite=True).predicted == 3


def test_a_broken_input_does_not_stop_the_others(
    run_here, tmp_path, config_file, checkpoint, capfd
):
    folder = tmp_path / 'mixed'
    folder.mkdir()
    rng = np.random.default_rng(0)

    def pixels(*shape, dtype=np.uint8):
        return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype)

    cv2.imwrite(str(folder / 'colour.png'), pixels(30, 41, 3))
    cv2.imwrite(str(folder / 'grey.png'), pixels(20, 33))
    cv2.imwrite(str(folder / 'alpha.png'), pixels(20, 33, 4))
    cv2.imwrite(str(folder / 'deep.png'), pixels(20, 33, 3, dtype=np.uint16))
    good = cv2.imencode('.jpg', pixels(24, 40, 3))[1].tobytes()
    (folder / 'cut.jpg').write_bytes(good[:-100])
    (folder / 'empty.png').write_bytes(b'')
    (folder / 'notes.txt').write_text('not an image')
    (folder / 'clip.mp4').write_bytes(b'not a video')
    code = run_here(config_file, checkpoint, folder, '--out', tmp_path / 'out')
    printed = capfd.readouterr()
    assert code == 1
    assert '2 images and 0 frames' in printed.out and '1 .txt' in printed.out
    assert 'error: 5 inputs could not be predicted:' in printed.err
    for message in (
        'alpha.png: a PNG with an alpha channel',
        'deep.png: a 16-bit PNG',
        'cut.jpg: the file is truncated',
        'empty.png: the file is empty',
        'clip.mp4: no frame can be decoded',
    ):
        assert message in printed.err
    done = sorted(p.name for p in (tmp_path / 'out').rglob('*') if p.is_file())
    assert done == ['colour.png', 'colour.png', 'grey.png', 'grey.png', 'infer.json']
    assert read(tmp_path / 'out/labelTrainIds/colour.png').shape == (30, 41)


@pytest.mark.parametrize('workers', [0, 2])
def test_video(predict, tmp_path, seen, workers):
    video = make_video(tmp_path / 'drive.avi')
    out = tmp_path / 'out'
    report = predict(video, out, overlays=True, batch_size=2, workers=workers)
    assert (report.images, report.frames, seen) == (0, FRAMES, [2, 2, 1])
    ids = [read(out / f'labelTrainIds/drive/{i:06d}.png') for i in range(FRAMES)]
    colours = list(read_frames(out / 'color/drive.mp4'))
    assert frame_rate(out / 'color/drive.mp4') == 10
    assert len(colours) == FRAMES == video_length(out / 'overlay/drive.mp4')
    assert colours[0].shape == (24, 40, 3)
    # the frames are those of the video, in its order: predicted as images they give the same
    for i, frame in enumerate(read_frames(video)):
        Image.fromarray(frame).save(tmp_path / 'frame.png')
        predict(tmp_path / 'frame.png', tmp_path / f'single{i}')
        alone = read(tmp_path / f'single{i}/labelTrainIds/frame.png')
        assert np.mean(alone != ids[i]) < 0.005


def test_a_stopped_video_goes_on(predict, tmp_path, seen):
    video, out = make_video(tmp_path / 'drive.avi'), tmp_path / 'out'
    predict(video, out)
    (out / 'color/drive.mp4').unlink()
    (out / 'labelTrainIds/drive/000003.png').unlink()
    seen.clear()
    assert predict(video, out).frames == FRAMES
    assert seen == [1]
    assert len(list(read_frames(out / 'color/drive.mp4'))) == FRAMES
    assert predict(video, out).predicted == 0


def test_a_video_file_is_whole_or_absent(tmp_path):
    with pytest.raises(ZeroDivisionError), VideoFile(tmp_path / 'a' / 'b.mp4', 10) as video:
        video.write(np.zeros((9, 16, 3), np.uint8))
        raise ZeroDivisionError
    assert list((tmp_path / 'a').iterdir()) == []
    with VideoFile(tmp_path / 'odd.mp4', 10) as video:
        video.write(np.full((33, 47, 3), (200, 30, 90), np.uint8))
    (frame,) = read_frames(tmp_path / 'odd.mp4')
    assert frame.shape == (32, 46, 3)  # the codec takes even sizes
    assert np.abs(frame.mean((0, 1)) - (200, 30, 90)).max() < 5


def test_inputs_of_one_name_are_refused(tmp_path):
    for name in ('x/a.png', 'x/a.jpg', 'y/a.png', 'z/a.avi', 'z/a/000000.png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    out = tmp_path / 'out'
    for inputs in (['x'], ['x/a.png', 'y'], ['z']):
        with pytest.raises(ConfigError, match='would both write a: rename one'):
            find_inputs([tmp_path / name for name in inputs], out)
    found, _ = find_inputs([tmp_path / 'y', tmp_path / 'y'], out)
    assert [one.name for one in found] == ['a']  # given twice, predicted once
    with pytest.raises(FileNotFoundError, match='nothing: no such file or folder'):
        find_inputs([tmp_path / 'nothing'], out)
    (tmp_path / 'void').mkdir()
    with pytest.raises(FileNotFoundError, match='void holds no image'):
        find_inputs([tmp_path / 'void'], out)


def test_results_are_no_inputs(predict, tmp_path, data_root):
    out = data_root / 'images' / 'out'
    assert predict(data_root / 'images', out).images == 3
    assert predict(data_root / 'images', out).images == 3


def test_photographs_are_turned_upright(tmp_path):
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / 'photo.jpg', exif=exif, quality=100)
    upright = read_upright(tmp_path / 'photo.jpg')
    assert upright.shape == (16, 8, 3)
    assert upright[:6].min() > 200 and upright[10:].max() < 50
    with pytest.raises(DataError, match='neither a PNG nor a JPEG'):
        (tmp_path / 'b.png').write_bytes(b'GIF89a')
        read_upright(tmp_path / 'b.png')


def test_amp_and_compiled_stages(predict, tmp_path, data_root, monkeypatch):
    compiled = []

    def compile_(function, **options):
        compiled.append(options)
        return function

    monkeypatch.setattr(torch, 'compile', compile_)
    predict(data_root / 'images', tmp_path / 'half', amp='bf16', compiled=True)
    predict(data_root / 'images', tmp_path / 'full')
    assert compiled == [{'dynamic': False}] * 2
    pairs = [
        [read(tmp_path / kind / f'labelTrainIds/{name}.png').ravel() for name in NAMES]
        for kind in ('half', 'full')
    ]
    same = np.mean(np.concatenate(pairs[0]) == np.concatenate(pairs[1]))
    assert 0.9 < same < 1  # bfloat16 was really used, and only near-ties change
