"""Reading videos with PyAV, which is FFmpeg."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.error import FFmpegError

from dsr_nss.datasets.images import MAX_PIXELS
from dsr_nss.datasets.regular_files import require_regular
from dsr_nss.errors import DataError

#: Containers that are opened. Playlists and lists of files, which FFmpeg also tells by their
#: content, would have it read other files and addresses.
_FORMATS = 'mov,mp4,3gp,avi,matroska,webm,mpegts,mpeg,mpegvideo,asf,flv,h264,hevc,m4v'
_DEFAULT_RATE = Fraction(25)
#: Seconds; after a longer one the clock of the file has leapt, and frames follow at its rate.
_LONGEST_PAUSE = 3600


class Frame(NamedTuple):
    """One frame of a video.

    Attributes:
        image: `(H, W, 3)` uint8 RGB, upright.
        time: Seconds since the first frame; each frame's is larger than the one before.
    """

    image: np.ndarray
    time: Fraction


def video_length(path: Path) -> int:
    """Frames as the file's header tells it, or its duration; 0 where neither does."""
    try:
        with _open(path) as container:
            stream = container.streams.video[0]
            seconds = Fraction(max(container.duration or 0, 0), av.time_base)
            return stream.frames or int(seconds * _rate(stream))
    except (DataError, FileNotFoundError):
        return 0


def frame_rate(path: Path) -> Fraction:
    """Frames a second, in the mean where they vary.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is no regular file or holds no video.
    """
    with _open(path) as container:
        return _rate(container.streams.video[0])


def read_frames(path: Path) -> Iterator[Frame]:
    """All frames, as they are shown: upright, at their times.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is no regular file, no frame can be decoded, or fewer than there are.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = 'AUTO'
        number, damaged, start, time = 0, 0, Fraction(0), Fraction(0)
        for frames in _decoded(container, stream):
            if frames is None:
                damaged += number > 0  # a recording may begin between two whole pictures
                continue
            for frame in frames:
                shown = (frame.pts or 0) * frame.time_base
                if number == 0:
                    start = shown
                elif time < shown - start < time + _LONGEST_PAUSE:
                    time = shown - start
                else:
                    time += 1 / _rate(stream)
                number += 1
                yield Frame(_upright(frame), time)
        if number == 0:
            raise _no_video(path)
        told = stream.frames or number + damaged
        # headers may count a last frame that is none
        if number < told - 1 - told // 100:
            raise DataError(
                f'{path}: only {number} of {told} frames can be decoded; the file is damaged, get '
                'it again'
            )


def _decoded(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[list[av.VideoFrame] | None]:
    """The frames of each packet, None for one that is damaged."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except FFmpegError:  # the container itself is damaged from here on
            yield None
            packet = None
        try:
            yield stream.decode(packet)
        except FFmpegError as error:
            if not isinstance(error, EOFError):
                yield None
        if packet is None:
            return


def _upright(frame: av.VideoFrame) -> np.ndarray:
    image = frame.to_ndarray(format='rgb24')
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))


def _open(path: Path) -> av.container.InputContainer:
    """A container with a video. Raises as `read_frames`."""
    require_regular(path)  # FFmpeg would wait at a pipe
    options = {'protocol_whitelist': 'file', 'format_whitelist': _FORMATS}
    try:
        container = av.open(f'file:{path}', options=options)
    except FFmpegError:
        raise _no_video(path) from None
    if not container.streams.video:
        container.close()
        raise _no_video(path)
    context = container.streams.video[0].codec_context
    if context.width * context.height > MAX_PIXELS:
        container.close()
        raise DataError(
            f'{path}: frames of {context.height}x{context.width} pixels (height x width), more '
            f'than {MAX_PIXELS}'
        )
    context.options = {'max_pixels': str(MAX_PIXELS)}  # the size may change on the way
    return container


def _rate(stream: av.VideoStream) -> Fraction:
    rate = stream.average_rate
    return rate if rate is not None and 0 < rate < 1000 else _DEFAULT_RATE


def _no_video(path: Path) -> DataError:
    return DataError(f'{path}: no frame can be decoded; the file is damaged or no video')
