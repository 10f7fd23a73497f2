"""Reading and writing videos with OpenCV, which the package needs in any case; it uses FFmpeg."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from dsr_nss.datasets.regular_files import require_regular
from dsr_nss.errors import DataError
from dsr_nss.files import make_folder, remove_abandoned, temporary_prefix

#: MPEG-4 Part 2: the one codec for MP4 that OpenCV's own builds can write.
_CODEC = 'mp4v'
_DEFAULT_RATE = 25.0
#: Containers whose headers count the frames; of others OpenCV estimates their number.
_COUNTED = ('.mp4', '.m4v', '.mov', '.avi')


def video_length(path: Path) -> int:
    """Frames as the file's header tells it; 0 where it does not, or cannot be opened."""
    if not path.is_file():  # OpenCV would wait at a pipe
        return 0
    return max(int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT)), 0)


def frame_rate(path: Path) -> float:
    """Frames a second.

    Raises:
        FileNotFoundError, DataError: There is no such file.
    """
    require_regular(path)
    rate = cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS)
    return rate if 0 < rate < 1000 else _DEFAULT_RATE


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """All frames, upright, `(H, W, 3)` uint8 RGB.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is no regular file, no frame can be decoded, or fewer than there are.
    """
    require_regular(path)
    video = cv2.VideoCapture(str(path))
    try:
        number = 0
        while True:
            decoded, frame = video.read()
            if not decoded:
                break
            number += 1
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        if number == 0:
            raise DataError(f'{path}: no frame can be decoded; the file is damaged or no video')
        told = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        # headers may count a last frame that is none
        if path.suffix.lower() in _COUNTED and number < told - 1 - told // 100:
            raise DataError(
                f'{path}: only {number} of {told} frames can be decoded; the file is damaged, get '
                'it again'
            )
    finally:
        video.release()


class VideoFile:
    """An MP4 that takes its name when it is complete; a context.

    Args:
        path: The file to make; its folder is made.
        rate: Frames a second.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path = path
        self.rate = rate
        make_folder(path.parent)
        remove_abandoned([path])
        self._partial = path.with_name(f'{temporary_prefix(path)}{os.getpid()}{path.suffix}')
        self._writer: cv2.VideoWriter | None = None
        self._frames = 0

    def write(self, frame: np.ndarray) -> None:
        """Appends `(H, W, 3)` uint8 RGB; the codec takes even sizes, so an odd one loses a pixel.

        Raises:
            DataError: OpenCV cannot write videos, or none of this size.
        """
        height, width = frame.shape[0] // 2 * 2, frame.shape[1] // 2 * 2
        if self._writer is None:
            code = cv2.VideoWriter.fourcc(*_CODEC)
            self._writer = cv2.VideoWriter(str(self._partial), code, self.rate, (width, height))
            if not self._writer.isOpened():
                raise DataError(
                    f'{self.path}: this OpenCV cannot write {_CODEC} videos of {height}x{width}'
                )
        frame = frame[:height, :width]
        self._writer.write(np.ascontiguousarray(frame[..., ::-1]))
        self._frames += 1

    def __enter__(self) -> 'VideoFile':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.release()
        written = video_length(self._partial) if self._partial.is_file() else 0
        if kind is None and self._frames == written > 0:
            os.replace(self._partial, self.path)
            return
        self._partial.unlink(missing_ok=True)
        if kind is None and self._frames:  # OpenCV does not say when it cannot write
            raise DataError(
                f'{self.path}: {written} of {self._frames} frames were written; is the disk full?'
            )
