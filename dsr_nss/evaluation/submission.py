"""Writing the archives that the test servers take."""

import stat
import warnings
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import cv2
import numpy as np

from dsr_nss.classes import IGNORE_INDEX
from dsr_nss.errors import DataError
from dsr_nss.evaluation.submission_formats import (
    SUBMISSION_FORMATS,
    Part,
    SubmissionFormat,
    submission_format,
)
from dsr_nss.files import atomic_file

__all__ = ['SUBMISSION_FORMATS', 'SubmissionFormat', 'SubmissionWriter', 'submission_format']

#: What a confidence of 1 is stored as.
CONFIDENCE_SCALE = 2**16 - 1
#: By how much rounding may carry a confidence beyond 0..1.
_TOLERANCE = 1e-4


class SubmissionWriter:
    """Writes an archive, which appears whole at the end of the `with` block or not at all.

        with SubmissionWriter('dark_zurich', Path('submission.zip'), names) as writer:
            for name, ids, confidence in predictions:
                writer.add(name, ids, confidence)

    Same predictions, same bytes. Images of another number or size than the server expects are
    written with a warning, so that the command can be tried on other sets.

    Args:
        kind: One of `SUBMISSION_FORMATS`, or a format.
        path: The archive; an older one is replaced.
        expected_names: Paths of all images without suffix. None takes whatever is added.
        invalid_below: Confidence below which `labelTrainIds_invalid` says 255. None predicts
            everywhere, so that the server's UIoU is its IoU. The best value on a set with masks of
            invalid pixels is where its UIoU curve is highest.

    Raises:
        ValueError: Unknown kind; `invalid_below` for a server that takes no such labels.
        DataError: A name that the server could not assign, two images of the same name, or `path`
            is a folder.
    """

    def __init__(
        self,
        kind: str | SubmissionFormat,
        path: str | Path,
        expected_names: Sequence[str] | None = None,
        *,
        invalid_below: float | None = None,
    ) -> None:
        self.format = submission_format(kind)
        self.path = Path(path)
        if self.path.is_dir():
            raise DataError(f'{self.path} is a folder; name the archive to write')
        if invalid_below is not None:
            if not self.format.abstains:
                raise ValueError(f'{self.format.title} takes no labels with invalid pixels')
            if not 0 <= invalid_below <= 1:
                raise ValueError(f'invalid_below must lie in 0..1, got {invalid_below}')
        self.invalid_below = invalid_below
        self._expected = None if expected_names is None else self._frames(expected_names)
        self._added: dict[str, str] = {}
        self._other_size = False
        self._values = np.array(self.format.label_values, np.uint8)

    def _frames(self, names: Sequence[str]) -> dict[str, str]:
        frames: dict[str, str] = {}
        for name in names:
            frame = self.format.frame_of(name)
            if frame in frames:
                raise DataError(f'{frames[frame]} and {name} would have the same name, {frame}')
            frames[frame] = name
        return frames

    def __enter__(self) -> 'SubmissionWriter':
        self._target = atomic_file(self.path)
        # PNGs are compressed already
        self._archive = zipfile.ZipFile(self._target.__enter__(), 'w', zipfile.ZIP_STORED)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with ExitStack() as stack:
            stack.push(self._target)
            if error is not None:
                with suppress(OSError, ValueError):  # what is written of it is thrown away
                    self._archive.close()
                raise error
            self._archive.close()
            self._check_complete()

    def _check_complete(self) -> None:
        if not self._added:
            raise DataError(f'{self.path}: no image was predicted')
        missing = [
            name for frame, name in (self._expected or {}).items() if frame not in self._added
        ]
        if missing:
            raise DataError(
                f'{self.path}: {len(missing)} of {len(self._expected or {})} images were not '
                f'predicted, the first: {missing[0]}'
            )
        if len(self._added) not in self.format.counts:
            counts = ' or '.join(map(str, self.format.counts))
            self._warn(f'{len(self._added)} images', f'{counts} images')

    def add(self, name: str, label_ids: np.ndarray, confidence: np.ndarray | None = None) -> None:
        """Adds the prediction of an image.

        Args:
            name: Path of the image without suffix.
            label_ids: `(H, W)` uint8 train ids at the size of the image.
            confidence: `(H, W)` float in 0..1, the probability of the predicted class; may be left
                out if the format needs none.

        Raises:
            DataError: The server could not assign the name, or it is not one of the expected.
            ValueError: An array of another type, shape or range; an image for the second time.
        """
        frame = self.format.frame_of(name)
        if self._expected is not None and frame not in self._expected:
            raise DataError(f'{name} is not one of the {len(self._expected)} expected images')
        if frame in self._added:
            raise ValueError(f'{self._added[frame]} and {name} are the same image, {frame}')
        self._check_labels(name, label_ids)
        if self.format.needs_confidence:
            confidence = _checked_confidence(name, confidence, label_ids.shape)
        if label_ids.shape != self.format.size and not self._other_size:
            self._other_size = True
            self._warn(*(f'images of {h}x{w}' for h, w in (label_ids.shape, self.format.size)))
        for part in self.format.parts:
            self._write(self.format.path(part, frame), self._pixels(part, label_ids, confidence))
        self._added[frame] = name

    def _check_labels(self, name: str, label_ids: np.ndarray) -> None:
        if label_ids.dtype != np.uint8 or label_ids.ndim != 2 or not label_ids.size:
            raise ValueError(
                f'{name}: label_ids must be (H, W) uint8, got {label_ids.shape} {label_ids.dtype}'
            )
        if label_ids.max() >= len(self._values):
            raise ValueError(
                f'{name}: train id {label_ids.max()}; there are only 0..{len(self._values) - 1}'
            )

    def _pixels(
        self, part: Part, label_ids: np.ndarray, confidence: np.ndarray | None
    ) -> np.ndarray:
        if part.content == 'confidence':
            return np.rint(confidence * CONFIDENCE_SCALE).astype(np.uint16)  # type: ignore[operator]
        values = self._values[label_ids]
        if part.content == 'abstaining' and self.invalid_below is not None:
            values[confidence < self.invalid_below] = IGNORE_INDEX  # type: ignore[operator]
        return values

    def _write(self, path: str, pixels: np.ndarray) -> None:
        # beyond level 6 files hardly shrink and take several times as long
        done, png = cv2.imencode('.png', pixels, [cv2.IMWRITE_PNG_COMPRESSION, 6])
        if not done:
            raise ValueError(f'{path}: OpenCV cannot encode {pixels.shape} {pixels.dtype} as PNG')
        info = zipfile.ZipInfo(path)  # of a fixed date
        info.external_attr = (stat.S_IFREG | 0o644) << 16  # none would unpack as unreadable files
        self._archive.writestr(info, png.tobytes())

    def _warn(self, found: str, expected: str) -> None:
        warnings.warn(
            f'{self.path}: {found}; the server of {self.format.title} expects {expected}',
            stacklevel=3,
        )


def _checked_confidence(
    name: str, confidence: np.ndarray | None, shape: tuple[int, ...]
) -> np.ndarray:
    """The confidence, cut to 0..1.

    Raises:
        ValueError: There is none, or one of another type, shape or range.
    """
    if confidence is None:
        raise ValueError(f'{name}: this server takes a confidence of each pixel')
    if confidence.shape != shape or not np.issubdtype(confidence.dtype, np.floating):
        raise ValueError(
            f'{name}: confidence must be {shape} float, got {confidence.shape} {confidence.dtype}'
        )
    # written so that nan fails
    if not (confidence.min() >= -_TOLERANCE and confidence.max() <= 1 + _TOLERANCE):
        raise ValueError(
            f'{name}: confidence must lie in 0..1, got {confidence.min()}..{confidence.max()}'
        )
    return confidence.clip(0, 1)
