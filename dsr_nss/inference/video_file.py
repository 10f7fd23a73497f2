"""Writing videos that browsers play: H.264 in MP4, which OpenCV's builds do not write."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError

from dsr_nss.errors import DataError
from dsr_nss.files import make_folder, remove_abandoned, storage_error, temporary_prefix

#: Clock of the videos that are written, ticks a second: it divides the usual frame rates.
_CLOCK = 90_000
#: Twice as fast as x264's default, for a tenth more bytes or so; colours keep sharp edges.
_ENCODER = {'preset': 'veryfast', 'crf': '20'}
#: Colours are written by this standard, and the file says so: players guess otherwise by the size.
_BT709 = 1


class VideoFile:
    """An H.264 video in MP4 that takes its name when it is complete; a context.

    Args:
        path: The file to make; its folder is made.
        rate: Frames a second; how long the last frame is shown.
    """

    def __init__(self, path: Path, rate: Fraction | float) -> None:
        self.path = path
        self.rate = Fraction(rate).limit_denominator(_CLOCK)
        make_folder(path.parent)
        remove_abandoned([path])
        self._partial = path.with_name(f'{temporary_prefix(path)}{os.getpid()}{path.suffix}')
        self._container: av.container.OutputContainer | None = None
        self._size = (0, 0)
        self._tick = -1

    def write(self, image: np.ndarray, time: Fraction | float) -> None:
        """Appends a frame.

        Args:
            image: `(H, W, 3)` uint8 RGB. The codec takes even sizes, so the last row or column of
                an odd one is there twice.
            time: Seconds since the first frame.

        Raises:
            DataError: The image has not the size of the one before.
            StorageError: It cannot be written, for instance on a full disk.
        """
        size = image.shape[:2]
        if self._container is None:
            self._begin(size)
        elif size != self._size:
            sizes = ['x'.join(map(str, one)) for one in (self._size, size)]
            raise DataError(
                f'{self.path}: the size of the frames changes from {sizes[0]} to {sizes[1]}'
            )
        even = np.pad(image, ((0, size[0] % 2), (0, size[1] % 2), (0, 0)), 'edge')
        frame = av.VideoFrame.from_ndarray(even, format='rgb24')
        frame = frame.reformat(format='yuv420p', dst_colorspace='ITU709')
        self._tick = max(round(time * _CLOCK), self._tick + 1)
        frame.pts, frame.time_base = self._tick, Fraction(1, _CLOCK)
        self._encode(frame)

    def _begin(self, size: tuple[int, int]) -> None:
        options = {'movflags': '+faststart'}  # a browser plays before it has all of it
        self._container = av.open(f'file:{self._partial}', 'w', format='mp4', options=options)
        self._stream = self._container.add_stream('libx264', rate=self.rate, options=_ENCODER)
        self._size = size
        self._stream.height, self._stream.width = (side + side % 2 for side in size)
        self._stream.pix_fmt = 'yuv420p'
        context = self._stream.codec_context
        context.time_base = Fraction(1, _CLOCK)
        context.colorspace = context.color_primaries = context.color_trc = _BT709

    def _encode(self, frame: av.VideoFrame | None) -> None:
        """Of None what the encoder holds back."""
        assert self._container is not None
        try:
            self._container.mux(self._stream.encode(frame))
        except FFmpegError as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: FFmpegError) -> Exception:
        return storage_error(self.path, OSError(error.errno, error.strerror))

    def __enter__(self) -> 'VideoFile':
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._container is None:
            return
        try:
            if kind is None:
                self._encode(None)
            self._close(kind is None)
            if kind is None:
                os.replace(self._partial, self.path)
        finally:
            self._partial.unlink(missing_ok=True)

    def _close(self, complete: bool) -> None:
        assert self._container is not None
        try:
            self._container.close()
        except FFmpegError as error:
            if complete:
                raise self._unwritten(error) from error
