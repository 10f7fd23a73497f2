"""Predictions for anybody's images and videos, written as they come."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from tqdm import tqdm

from dsr_nss.datasets.images import read_image, read_label
from dsr_nss.datasets.regular_files import require_regular
from dsr_nss.engine.devices import is_out_of_memory
from dsr_nss.errors import ConfigError, DataError, StorageError
from dsr_nss.files import make_folder
from dsr_nss.inference.background import Writer, ahead
from dsr_nss.inference.inputs import Input, find_inputs
from dsr_nss.inference.pictures import (
    COLOUR_FOLDER,
    LABEL_FOLDER,
    OVERLAY_FOLDER,
    picture_file,
    write_picture,
    write_prediction,
)
from dsr_nss.inference.predictor import Predictor, load, newest_checkpoint
from dsr_nss.inference.record import Results, describe_run
from dsr_nss.inference.video import frame_rate, read_frames, video_length
from dsr_nss.inference.video_file import VideoFile
from dsr_nss.visualization.colours import colourise, overlay


@dataclass
class InferReport:
    """What `infer` did.

    Attributes:
        images: Number of images whose results are there now.
        frames: Number of video frames whose results are there now.
        predicted: Images and frames that went through the network.
        kept: Those whose results were there already.
        failed: Input -> what is wrong with it.
        others: Files in the folders that are neither image nor video, by suffix.
    """

    images: int = 0
    frames: int = 0
    predicted: int = 0
    kept: int = 0
    failed: dict[Path, str] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Loaded:
    """An image that was read.

    Attributes:
        source: Its file.
        name: Name of its results.
        image: `(H, W, 3)` uint8 RGB.
        item: What the network takes; None where `ids` are there.
        ids: `(H, W)` class ids that an earlier run wrote; None where there are none.
        time: Of a frame, seconds since the first one.
    """

    source: Input
    name: str
    image: np.ndarray
    item: dict[str, Any] | None = None
    ids: np.ndarray | None = None
    time: Fraction = Fraction(0)


def infer(
    config: Config | None,
    checkpoint: str | Path,
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    which: str = 'student',
    overlays: bool = False,
    tta: bool = False,
    amp: str | None = None,
    compiled: bool = False,
    batch_size: int = 1,
    overwrite: bool = False,
    device: str | None = None,
    workers: int = 2,
) -> InferReport:
    """Predicts images, folders and videos.

    Of an image `a/b.jpg` below a given folder it writes `labelTrainIds/a/b.png` (class ids),
    `color/a/b.png` and, if asked, `overlay/a/b.png`; of a video `a/b.mp4` the ids of each frame as
    `labelTrainIds/a/b/000000.png` (no codec keeps them) and the videos `color/a/b.mp4` and
    `overlay/a/b.mp4`. Each file appears when it is complete. What is there is kept, so a run that
    was stopped goes on: ids are the result, the rest is drawn from them.

    Args:
        config: Config with the model and the `test_pipeline`; see `read_model_config`. None for an
            exported network, or the one that the checkpoint carries.
        checkpoint, which, device: Same meaning as in `load`; `device` None: a GPU if there is one.
        inputs: Image files, video files, folders.
        out: Folder of the results.
        overlays: Also write the images with the colours over them.
        tta, amp: Same meaning as in `dsr_nss.inference.predict.predict`.
        compiled: Compile the network; see `compile_stages`.
        batch_size: The most images of one size that go through the network together.
        overwrite: Remove earlier results of these inputs first.
        workers: Threads that read and, as many, that write; 0 does all in this one.

    Raises:
        ConfigError, CheckpointError, FileNotFoundError: What is missing or wrong as a whole. What
            is wrong with a single input is in the report.
    """
    out, checkpoint = Path(out), newest_checkpoint(checkpoint)
    found, others = find_inputs(inputs, out)
    make_folder(out)
    results = Results(out, describe_run(config, checkpoint, which, tta, amp), overwrite)
    if not overwrite:
        results.check(found)
    predictor = load(
        checkpoint, config, which=which, device=device or 'auto', tta=tta, amp=amp, compile=compiled
    )
    results.begin(found, overwrite)
    total = sum(video_length(one.path) if one.is_video else 1 for one in found)
    # without a terminal no bar: logs would fill with its lines
    with tqdm(total=total, unit='img', disable=None) as bar:
        run = _Run(predictor, results, overlays, batch_size, workers, bar)
        run.report.others = dict(others)
        run.images([one for one in found if not one.is_video])
        for one in found:
            if one.is_video:
                run.video(one)
    return run.report


class _Run:
    """One call of `infer`; arguments as there."""

    def __init__(
        self,
        predictor: Predictor,
        results: Results,
        overlays: bool,
        batch_size: int,
        workers: int,
        bar: tqdm,
    ) -> None:
        self.predictor, self.results, self.overlays = predictor, results, overlays
        self.out = results.out
        self.batch_size, self.workers, self.bar = batch_size, workers, bar
        self.palette = predictor.palette
        self.report = InferReport()

    def images(self, inputs: Sequence[Input]) -> None:
        """All images; one that cannot be read is noted and left out."""
        left = [one for one in inputs if not self._complete(one)]
        self._count(len(inputs) - len(left), 'images', kept=True)
        loaded = ahead(self._load, left, workers=self.workers, depth=self._depth)
        with Writer(self.workers) as writer:
            for one, ids in self._predict(self._readable(zip(left, loaded, strict=True))):
                writer.submit(self._write_image, one, ids)
                self._count(1, 'images', kept=one.ids is not None)

    def _write_image(self, one: _Loaded, ids: np.ndarray) -> None:
        image = one.image if self.overlays else None
        write_prediction(ids, one.name, self.out, self.palette, image)
        if one.ids is None:
            self.results.add(one.source, frames=1)

    def video(self, video: Input) -> None:
        """One video; if it cannot be read it is noted."""
        if self._complete(video):
            self._count(self.results.frames(video) or 0, 'frames', kept=True)
            return
        frames = zip(count(), read_frames(video.path), strict=False)

        def load_next(_: int) -> _Loaded | None:
            try:
                number, frame = next(frames, (0, None))
                if frame is None:
                    return None
                return self._item(video, f'{video.name}/{number:06d}', frame.image, frame.time)
            except (DataError, OSError) as error:  # the frames before it are predicted
                self.report.failed[video.path] = str(error)
                return None

        # one thread: a video is decoded in its order
        workers = min(self.workers, 1)
        loaded = ahead(load_next, count(), workers=workers, depth=self._depth)
        try:
            require_regular(video.path)  # its digest would be read for ever
            if not self.results.knows(video):
                self.results.add(video, frames=None)
            number = self._write_video(video, _until_none(loaded))
            if self.results.frames(video) != number:
                self.results.add(video, frames=number)
        except StorageError:
            raise
        except (DataError, OSError) as error:
            self.report.failed[video.path] = str(error)
        finally:
            loaded.close()

    def _write_video(self, video: Input, loaded: Iterable[_Loaded]) -> int:
        """Writes what is missing; returns the number of frames, or raises where one is lacking."""
        rate, number = frame_rate(video.path), 0
        with ExitStack() as stack:
            files = {
                kind: stack.enter_context(VideoFile(path, rate))
                for kind, path in self._videos(video).items()
                if not path.is_file()
            }

            def draw(one: _Loaded, ids: np.ndarray) -> None:
                if COLOUR_FOLDER in files:
                    files[COLOUR_FOLDER].write(colourise(ids, self.palette), one.time)
                if OVERLAY_FOLDER in files:
                    files[OVERLAY_FOLDER].write(overlay(one.image, ids, self.palette), one.time)

            # one thread draws: frames are appended in their order
            with Writer(min(self.workers, 1)) as drawer, Writer(self.workers) as writer:
                for one, ids in self._predict(loaded):
                    if one.ids is None:
                        path = picture_file(self.out, LABEL_FOLDER, one.name)
                        writer.submit(write_picture, path, ids)
                    drawer.submit(draw, one, ids)
                    self._count(1, 'frames', kept=one.ids is not None)
                    number += 1
            if video.path in self.report.failed:  # no coloured video that lacks frames
                raise DataError(self.report.failed[video.path])
        return number

    def _videos(self, video: Input) -> dict[str, Path]:
        return {folder: self.out / folder / f'{video.name}.mp4' for folder in self._folders}

    @property
    def _folders(self) -> list[str]:
        return [COLOUR_FOLDER, *([OVERLAY_FOLDER] if self.overlays else [])]

    @property
    def _depth(self) -> int:
        return 2 * self.batch_size + self.workers

    def _count(self, number: int, kind: str, *, kept: bool) -> None:
        setattr(self.report, kind, getattr(self.report, kind) + number)
        self.report.kept += number if kept else 0
        self.bar.update(number)

    def _complete(self, one: Input) -> bool:
        """Whether all results are there."""
        if one.is_video:
            number = sum(1 for _ in (self.out / LABEL_FOLDER / one.name).glob('[0-9]*.png'))
            videos = self._videos(one).values()
            return number == self.results.frames(one) and all(path.is_file() for path in videos)
        return all(
            picture_file(self.out, folder, one.name).is_file()
            for folder in (LABEL_FOLDER, *self._folders)
        )

    def _load(self, one: Input) -> _Loaded | str:
        """An image, or why there is none: an exception would end the others, too."""
        try:
            return self._item(one, one.name, read_image(one.path))
        except (DataError, OSError) as error:
            return str(error)
        except MemoryError:
            return f'{one.path}: it does not fit into the memory'

    def _item(
        self, source: Input, name: str, image: np.ndarray, time: Fraction = Fraction(0)
    ) -> _Loaded:
        size = image.shape[:2]
        earlier = picture_file(self.out, LABEL_FOLDER, name)
        if earlier.is_file():
            try:
                ids = read_label(earlier)
            except DataError:
                ids = None  # damaged: it is predicted again
            if ids is not None and ids.shape == size:
                return _Loaded(source, name, image, ids=ids, time=time)
        item = self.predictor.prepare(image, str(source.path))
        return _Loaded(source, name, image, item=item, time=time)

    def _readable(self, loaded: Iterable[tuple[Input, _Loaded | str]]) -> Iterator[_Loaded]:
        for one, result in loaded:
            if isinstance(result, str):
                self.report.failed[one.path] = result
                self.bar.update(1)
            else:
                yield result

    def _predict(self, loaded: Iterable[_Loaded]) -> Iterator[tuple[_Loaded, np.ndarray]]:
        """Class ids of each image, in order; neighbours of one size go through together."""
        batch: list[_Loaded] = []
        for one in loaded:
            if batch and (one.ids is not None or one.image.shape != batch[0].image.shape):
                yield from self._predict_batch(batch)
                batch = []
            if one.ids is not None:
                yield one, one.ids
                continue
            batch.append(one)
            if len(batch) == self.batch_size:
                yield from self._predict_batch(batch)
                batch = []
        if batch:
            yield from self._predict_batch(batch)

    def _predict_batch(self, batch: list[_Loaded]) -> Iterator[tuple[_Loaded, np.ndarray]]:
        items = [one.item for one in batch if one.item is not None]
        try:
            results = self.predictor.predict_prepared(items)
        except ConfigError:
            raise
        except (ValueError, MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not is_out_of_memory(error):
                raise
            failure = str(error) or 'not enough memory'
        else:
            for one, (ids, _) in zip(batch, results, strict=True):
                self.report.predicted += 1
                yield one, ids
            return
        # behind the handler, which holds on to the memory of what failed
        if len(batch) > 1:  # one of them may be at fault, or each alone may fit
            for one in batch:
                yield from self._predict_batch([one])
            return
        self.report.failed[batch[0].source.path] = failure  # too small, or too large
        self.bar.update(1)


def _until_none(items: Iterable[_Loaded | None]) -> Iterator[_Loaded]:
    for item in items:
        if item is None:
            return
        yield item
