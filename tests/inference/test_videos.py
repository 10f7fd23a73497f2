"""Videos through `tools/infer.py`: order, runs that go on, files that are damaged or not whole."""

import cv2
import numpy as np
import pytest
from PIL import Image

from dsr_nss.errors import ConfigError, DataError, StorageError
from dsr_nss.inference import files as files_module
from dsr_nss.inference import predictor as predictor_module
from dsr_nss.inference.video import frame_rate, read_frames, video_length

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


@pytest.mark.parametrize('workers', [0, 2])
def test_video(predict, tmp_path, seen, workers):
    video = make_video(tmp_path / 'drive.avi')
    out = tmp_path / 'out'
    report = predict(video, out, overlays=True, batch_size=2, workers=workers)
    assert (report.images, report.frames, seen) == (0, FRAMES, [2, 2, 1])
    ids = [read(out / f'labelTrainIds/drive/{i:06d}.png') for i in range(FRAMES)]
    colours = [frame.image for frame in read_frames(out / 'color/drive.mp4')]
    assert frame_rate(out / 'color/drive.mp4') == 10
    assert len(colours) == FRAMES == video_length(out / 'overlay/drive.mp4')
    assert colours[0].shape == (24, 40, 3)
    # the frames are those of the video, in its order: predicted as images they give the same
    for i, frame in enumerate(read_frames(video)):
        Image.fromarray(frame.image).save(tmp_path / 'frame.png')
        predict(tmp_path / 'frame.png', tmp_path / f'single{i}')
        alone = read(tmp_path / f'single{i}/labelTrainIds/frame.png')
        assert np.mean(alone != ids[i]) < 0.005


def test_frames_that_would_fill_the_memory_are_refused(predict, tmp_path, monkeypatch):
    video = make_video(tmp_path / 'drive.avi')
    monkeypatch.setattr('dsr_nss.inference.video.MAX_PIXELS', 24 * 40 - 1)
    report = predict(video, tmp_path / 'out')
    assert 'frames of 24x40 pixels (height x width), more than 959' in report.failed[video]


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


def test_class_ids_of_a_video_are_its_result(predict, tmp_path, seen):
    video, out = make_video(tmp_path / 'drive.avi'), tmp_path / 'out'
    predict(video, out)
    for path in (out / 'labelTrainIds/drive').iterdir():
        path.unlink()
    assert predict(video, out).predicted == FRAMES
    (out / 'labelTrainIds/drive/000001.png').write_bytes(b'')  # damaged
    (out / 'labelTrainIds/drive/000002.png').unlink()
    colours = (out / 'color/drive.mp4').stat().st_mtime_ns
    report = predict(video, out, overlays=True)
    assert (report.predicted, report.kept, report.failed) == (2, FRAMES - 2, {})
    assert (out / 'color/drive.mp4').stat().st_mtime_ns == colours  # only the overlay was missing
    assert predict(video, out, overlays=True).kept == FRAMES
    make_video(video, size=(32, 32))
    with pytest.raises(ConfigError, match='drive was made of another file'):
        predict(video, out)


def test_a_frame_that_cannot_be_predicted_is_made_by_the_next_run(predict, tmp_path, monkeypatch):
    video, out = make_video(tmp_path / 'drive.avi'), tmp_path / 'out'
    real, calls = predictor_module.predict_batch, []

    def third_fails(*args, **options):
        calls.append(1)
        if len(calls) == 3:
            raise MemoryError('no memory for it')
        return real(*args, **options)

    monkeypatch.setattr(predictor_module, 'predict_batch', third_fails)
    report = predict(video, out)
    assert report.failed == {video: 'no memory for it'}
    assert not (out / 'color/drive.mp4').exists()
    report = predict(video, out)
    assert (report.predicted, report.kept, report.failed) == (1, FRAMES - 1, {})
    assert len(list(read_frames(out / 'color/drive.mp4'))) == FRAMES


def test_a_full_disk_ends_the_run(predict, tmp_path, monkeypatch):
    """It is no fault of the video."""

    def full(path, ids):
        raise StorageError(28, f'cannot write {path}')

    monkeypatch.setattr(files_module, 'write_picture', full)
    with pytest.raises(StorageError, match='cannot write .*drive/00000'):
        predict(make_video(tmp_path / 'drive.avi'), tmp_path / 'out')


def test_every_frame_before_the_damage_is_kept(predict, tmp_path):
    (video, _), out = cut_video(tmp_path / 'cut.avi'), tmp_path / 'out'
    number = 0
    with pytest.raises(DataError, match='of 20 frames'):
        for _ in read_frames(video):
            number += 1
    report = predict(video, out, batch_size=number - 1)
    assert 'of 20 frames' in report.failed[video]
    assert len(list((out / 'labelTrainIds/cut').iterdir())) == number


def cut_video(path):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10, (40, 24))
    for _ in range(20):
        writer.write(np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8))
    writer.release()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path, whole


def test_a_video_that_ends_early_is_named(predict, tmp_path, seen):
    out = tmp_path / 'out'
    video, whole = cut_video(tmp_path / 'cut.avi')
    for _ in range(2):
        report = predict(video, out)
        assert 'of 20 frames can be decoded' in report.failed[video]
        assert not (out / 'color/cut.mp4').exists()
    assert 0 < len(seen) < 12  # what was decoded is predicted once and kept
    video.write_bytes(whole)  # another file of this name now: its first frames count anew
    report = predict(video, out)
    assert (report.predicted, report.failed) == (20, {})
