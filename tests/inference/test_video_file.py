"""Videos that browsers play: what is written, and what is read of foreign and damaged files."""

import os
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from dsr_nss.errors import DataError, StorageError
from dsr_nss.inference.video import frame_rate, read_frames, video_length
from dsr_nss.inference.video_file import VideoFile
from tests.full_disk import largest_file

COLOUR = (200, 30, 90)


def write(path, times, size=(32, 48), rate=10, noise=None):
    """A video of one colour, or of noise, with frames at these seconds."""
    with VideoFile(path, rate) as video:
        for time in times:
            image = np.full((*size, 3), COLOUR, np.uint8)
            video.write(noise.integers(0, 256, image.shape, np.uint8) if noise else image, time)
    return path


def evenly(number, rate=10):
    return [Fraction(i, rate) for i in range(number)]


def test_it_is_what_browsers_play(tmp_path):
    path = write(tmp_path / 'a.mp4', evenly(3))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec.name, stream.pix_fmt) == ('h264', 'yuv420p')
        assert stream.codec_context.colorspace == 1  # BT.709, as the pixels
    content = path.read_bytes()
    assert 0 < content.index(b'moov') < content.index(b'mdat')  # it plays before it is all there


@pytest.mark.parametrize('rate', [Fraction(30000, 1001), 25, 9.5])
def test_frame_rates_are_kept(tmp_path, rate):
    times = [i / Fraction(rate) for i in range(20)]
    path = write(tmp_path / 'a.mp4', times, rate=rate)
    assert float(frame_rate(path)) == pytest.approx(float(rate), rel=1e-3)
    assert [frame.time for frame in read_frames(path)] == pytest.approx(times, abs=1e-4)


def test_varying_rates_are_kept(tmp_path):
    times = [Fraction(*t) for t in ((0, 1), (1, 30), (1, 2), (3, 5), (2, 1))]
    path = write(tmp_path / 'a.mp4', times)
    assert [frame.time for frame in read_frames(path)] == pytest.approx(times, abs=1e-4)


def test_times_that_do_not_grow_are_moved(tmp_path):
    path = write(tmp_path / 'a.mp4', [0, 0, 0.1])
    first, second, third = (frame.time for frame in read_frames(path))
    assert 0 == first < second < 0.001 and third == pytest.approx(0.1)


def test_one_frame_is_a_video(tmp_path):
    path = write(tmp_path / 'a.mp4', [0])
    (frame,) = read_frames(path)
    assert (frame.time, video_length(path), frame_rate(path)) == (0, 1, 10)


def test_no_frame_is_no_video(tmp_path):
    assert not write(tmp_path / 'a.mp4', []).exists()


@pytest.mark.parametrize(
    ('size', 'even'), [((33, 47), (34, 48)), ((1, 1), (2, 2)), ((8, 1), (8, 2))]
)
def test_odd_sides_get_their_edge_twice(tmp_path, size, even):
    (frame,) = read_frames(write(tmp_path / 'a.mp4', [0], size))
    assert frame.image.shape == (*even, 3)
    assert np.abs(frame.image.astype(int) - COLOUR).max() < 5


def test_others_read_the_same_colours(tmp_path):
    video = cv2.VideoCapture(str(write(tmp_path / 'a.mp4', evenly(2))))
    assert np.abs(video.read()[1][..., ::-1].astype(int) - COLOUR).max() < 5


def test_a_size_that_changes_is_named(tmp_path):
    with pytest.raises(DataError, match='frames changes from 8x16 to 16x16'):
        with VideoFile(tmp_path / 'a.mp4', 10) as video:
            video.write(np.zeros((8, 16, 3), np.uint8), 0)
            video.write(np.zeros((16, 16, 3), np.uint8), 1)
    assert not list(tmp_path.iterdir())


def test_it_is_whole_or_absent(tmp_path):
    with pytest.raises(ZeroDivisionError), VideoFile(tmp_path / 'a' / 'b.mp4', 10) as video:
        video.write(np.zeros((9, 16, 3), np.uint8), 0)
        raise ZeroDivisionError
    assert list((tmp_path / 'a').iterdir()) == []


@pytest.mark.parametrize('frames', [3, 60])  # a file that the encoder holds back, or writes
def test_a_full_disk_is_named(tmp_path, frames, rng):
    with largest_file(4000), pytest.raises(StorageError, match='cannot write .*a.mp4: File too'):
        write(tmp_path / 'a.mp4', evenly(frames), (64, 64), noise=rng)
    assert not list(tmp_path.iterdir())


def test_leftovers_of_a_killed_run_are_removed(tmp_path):
    old, young = tmp_path / '.a.mp4.77.mp4', tmp_path / '.a.mp4.78.mp4'
    for path in (old, young):
        path.write_bytes(b'x')
    os.utime(old, (0, 0))
    VideoFile(tmp_path / 'a.mp4', 10)
    assert not old.exists() and young.exists()


def read_all(path):
    """Frames until the error, and the error."""
    frames = []
    try:
        for frame in read_frames(path):
            frames.append(frame)
    except DataError as error:
        return frames, str(error)
    return frames, None


def test_a_file_that_is_cut_off_is_named_after_its_frames(tmp_path, rng):
    path = write(tmp_path / 'a.mp4', evenly(40), (64, 64), noise=rng)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    frames, error = read_all(path)
    assert 10 < len(frames) < 30 and f'{path}: only {len(frames)} of 40 frames' in error
    path.write_bytes(content[:1000])  # within the header
    assert read_all(path) == (
        [],
        f'{path}: no frame can be decoded; the file is damaged or no video',
    )


def test_holes_are_named_and_the_frames_around_them_are_read(tmp_path, rng):
    path = tmp_path / 'a.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10, (40, 24))
    for _ in range(20):
        writer.write(rng.integers(0, 256, (24, 40, 3), dtype=np.uint8))
    writer.release()
    assert len(read_all(path)[0]) == video_length(path) == 20
    content = bytearray(path.read_bytes())
    starts = [i for i in range(len(content)) if content[i : i + 4] == b'00dc'][:20]
    for i in (8, 9, 10):
        content[starts[i] + 8 : starts[i + 1]] = bytes(starts[i + 1] - starts[i] - 8)
    path.write_bytes(content)
    frames, error = read_all(path)
    assert len(frames) == 17 and 'only 17 of 20 frames' in error


@pytest.mark.parametrize('quarter', range(4))
def test_turned_videos_stand_upright_as_opencv_shows_them(tmp_path, quarter):
    path = write(tmp_path / 'a.mp4', [0], (32, 48))
    image = np.zeros((32, 48, 3), np.uint8)
    image[:16, :24] = 255
    with VideoFile(path, 10) as video:
        video.write(image, 0)
    content = bytearray(path.read_bytes())
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarter]
    matrix = [cos, sin, 0, -sin, cos, 0, 0, 0, 0x4000]
    numbers = b''.join((value * 65536).to_bytes(4, 'big', signed=True) for value in matrix)
    start = content.index(b'tkhd') + 4 + 40
    content[start : start + 36] = numbers
    path.write_bytes(content)
    (frame,) = read_frames(path)
    expected = cv2.VideoCapture(str(path)).read()[1][..., ::-1]
    assert frame.image.shape == expected.shape == ((48, 32, 3) if quarter % 2 else (32, 48, 3))
    assert np.abs(frame.image.astype(int) - expected).max() < 5


def test_playlists_are_not_followed(tmp_path):
    """FFmpeg tells formats by content, whatever the name, and would open what is listed."""
    inside = write(tmp_path / 'inside.mp4', evenly(3))
    path = tmp_path / 'clip.mp4'
    for text in (
        f'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{inside}\n#EXT-X-ENDLIST\n',
        f"ffconcat version 1.0\nfile '{inside.name}'\n",
    ):
        path.write_text(text)
        assert video_length(path) == 0
        assert (
            read_all(path)[1] == f'{path}: no frame can be decoded; the file is damaged or no video'
        )


def test_a_sound_is_no_video(tmp_path):
    path = tmp_path / 'a.mp4'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('aac', rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), 'fltp', 'mono')
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert 'no frame can be decoded' in read_all(path)[1]
