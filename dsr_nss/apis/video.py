"""Videos in and out, by OpenCV, which the package needs anyhow and which decodes by FFmpeg."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from dsr_nss.apis.files import make_folder
from dsr_nss.datasets.errors import DataError

#: MPEG-4 Part 2: the one codec for MP4 that OpenCV's own builds can write.
_CODEC = 'mp4v'
_DEFAULT_RATE = 25.0


def video_length(path: Path) -> int:
    """Frames as the file's header tells it; 0 where it does not, or cannot be opened."""
    return max(int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT)), 0)


def frame_rate(path: Path) -> float:
    """Frames a second."""
    rate = cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS)
    return rate if 0 < rate < 1000 else _DEFAULT_RATE


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """All frames, upright, `(H, W, 3)` uint8 RGB.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: No frame can be decoded.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file')
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
        self._partial = path.with_name(f'.{path.stem}.{os.getpid()}{path.suffix}')
        self._writer: cv2.VideoWriter | None = None

    def write(self, frame: np.ndarray) -> None:
        """Appends `(H, W, 3)` uint8 RGB; the codec takes even sizes, so an odd one loses a pixel.

        Raises:
            DataError: OpenCV cannot write videos.
        """
        height, width = frame.shape[0] // 2 * 2, frame.shape[1] // 2 * 2
        if self._writer is None:
            code = cv2.VideoWriter.fourcc(*_CODEC)
            self._writer = cv2.VideoWriter(str(self._partial), code, self.rate, (width, height))
            if not self._writer.isOpened():
                raise DataError(f'{self.path}: this OpenCV cannot write {_CODEC} videos')
        frame = frame[:height, :width]
        self._writer.write(np.ascontiguousarray(frame[..., ::-1]))

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
        if kind is None and self._partial.is_file():
            os.replace(self._partial, self.path)
        else:
            self._partial.unlink(missing_ok=True)
