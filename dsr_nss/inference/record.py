"""What made the results of an output folder, so that only those of this run are kept."""

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dsr_nss.checkpoints.writing import sha256_of
from dsr_nss.errors import ConfigError
from dsr_nss.files import storage_error, write_json
from dsr_nss.inference.inputs import FOLDERS, RUN_FILE, Input
from dsr_nss.inference.load import segmentor_config
from dsr_nss.inference.pictures import COLOUR_FOLDER, LABEL_FOLDER, OVERLAY_FOLDER, picture_file
from dsr_nss.inference.transforms import image_transforms

#: A line for each result; lines are appended only, the last one of a result counts.
RESULTS_FILE = 'infer_results.jsonl'
#: Fields of a network that change how it is run or started, not what it predicts.
_INDECISIVE = ('max_windows', 'init_cfg')


@dataclass(frozen=True)
class Row:
    """One result.

    Attributes:
        result: Name and kind, see `_key`.
        run: Digest of what made it.
        source: Name of the input file, for messages.
        bytes: Size of the input file in bytes.
        mtime_ns: Time of its last change, in nanoseconds.
        sha256: SHA-256 of its content, in hexadecimal.
        frames: Number of frames of a video, None as long as it is not complete; 1 for an image.
    """

    result: str
    run: str
    source: str
    bytes: int
    mtime_ns: int
    sha256: str
    frames: int | None


class Results:
    """The results of an output folder that were made by one run and of the files they stand for.

    Args:
        out: The output folder.
        run: What decides the results; see `describe_run`.
        overwrite: Other results of the inputs will be replaced and are no error.
    """

    def __init__(self, out: Path, run: dict[str, Any], overwrite: bool) -> None:
        self.out, self.run = out, run
        self.digest = _digest(json.dumps(run, sort_keys=True).encode())
        self.path = out / RESULTS_FILE
        self._lock = threading.Lock()
        self._rows = {} if not self.path.is_file() else _read_rows(self.path)
        if not overwrite:
            self._check_run()

    def _check_run(self) -> None:
        """Results of two models would not be told apart, and pictures of others be replaced."""
        there = [name for name in FOLDERS if (self.out / name).is_dir()]
        if not there:
            return
        if not (self.out / RUN_FILE).exists():
            raise ConfigError(
                f'{self.out / there[0]} was not made by a prediction; choose another --out, or '
                '--overwrite to replace in it what has the name of an input'
            )
        try:
            earlier = dict(json.loads((self.out / RUN_FILE).read_text()))
        except (OSError, ValueError, TypeError, RecursionError):
            earlier = {}
        differing = [key for key, value in self.run.items() if earlier.get(key) != value]
        if differing:
            raise ConfigError(
                f'{self.out} holds results of another run (different: {", ".join(differing)}); '
                'choose another --out, or --overwrite to replace those of these inputs'
            )

    def check(self, inputs: Sequence[Input]) -> None:
        """Raises `ConfigError` where a result of an input is of another file or another run."""
        for one in inputs:
            self._check_frames(one)
            row = self._rows.get(_key(one))
            if row is None or row.frames is None:
                continue
            if row.run != self.digest:
                raise ConfigError(
                    f'{self.out}: the result {one.name} was made by another run; choose another '
                    '--out, or --overwrite to replace it'
                )
            if not _is_same(one.path, row):
                raise ConfigError(
                    f'{self.out}: the result {one.name} was made of another file ({row.source}, '
                    f'{row.bytes} bytes) than {one.path}; choose another --out, or --overwrite to '
                    'replace it'
                )

    def _check_frames(self, one: Input) -> None:
        """An image must not take the place of a frame of a video, nor frames that of an image."""
        others = [f'video:{parent.as_posix()}' for parent in Path(one.name).parents]
        if one.is_video:
            others = [key for key in self._rows if key.startswith(f'image:{one.name}/')]
        for other in others:
            if other in self._rows:
                raise ConfigError(
                    f'{self.out}: {one.path} would be written over the results of '
                    f'{self._rows[other].source}; choose another --out'
                )

    def begin(self, inputs: Sequence[Input], overwrite: bool) -> None:
        """Removes what is not to be kept, and says which run this is.

        Without a line, class ids are of a program that was stopped before it wrote one, or of
        another origin: they are made again. So are the first frames of another video.
        """
        for one in inputs:
            row = self._rows.get(_key(one))
            if row is not None and row.frames is None:
                is_ours = row.run == self.digest and _is_same(one.path, row)
            else:
                is_ours = row is not None  # `check` has compared it
            if overwrite or not is_ours:
                self._rows.pop(_key(one), None)
                _remove_results(self.out, one)
        write_json(self.out / RUN_FILE, self.run)

    def knows(self, one: Input) -> bool:
        """Whether there is a line of an input."""
        return _key(one) in self._rows

    def frames(self, one: Input) -> int | None:
        """How many frames the result of a video has; None if it is not complete."""
        row = self._rows.get(_key(one))
        return None if row is None else row.frames

    def add(self, one: Input, frames: int | None) -> None:
        """A result is there, or (None) the first frames of a video will be."""
        status = one.path.stat()
        row = Row(
            result=_key(one),
            run=self.digest,
            source=str(one.path),
            bytes=status.st_size,
            mtime_ns=status.st_mtime_ns,
            sha256=sha256_of(one.path),
            frames=frames,
        )
        line = json.dumps(asdict(row)) + '\n'
        with self._lock:
            self._rows[row.result] = row
            try:
                with self.path.open('a+b') as file:
                    if file.tell() and not _ends_with_newline(file):
                        line = '\n' + line  # a program was killed within its last line
                    file.write(line.encode())
            except OSError as error:
                raise storage_error(self.path, error) from error


def _ends_with_newline(file: Any) -> bool:
    file.seek(-1, 2)
    return file.read(1) == b'\n'


def _read_rows(path: Path) -> dict[str, Row]:
    rows = {}
    for line in path.read_text(errors='replace').splitlines():
        try:
            row = Row(**json.loads(line))
        except (ValueError, TypeError, RecursionError):
            continue  # the torn line of a program that was killed: its result is made again
        if isinstance(row.result, str) and isinstance(row.frames, (int, type(None))):
            rows[row.result] = row
    return rows


def _key(one: Input) -> str:
    return f'{"video" if one.is_video else "image"}:{one.name}'


def _is_same(path: Path, row: Row) -> bool:
    """By size and time, and for a copy, whose time may differ, by content."""
    try:
        status = path.stat()
    except OSError:
        return True  # what is wrong with it is said when it is read
    if status.st_size != row.bytes:
        return False
    return status.st_mtime_ns == row.mtime_ns or sha256_of(path) == row.sha256


def describe_run(
    config: Config | None, checkpoint: str | Path, which: str, tta: bool, amp: str | None
) -> dict[str, Any]:
    """What decides the results: two runs with equal descriptions give the same.

    An exported network has no config: the file decides all.
    """
    path = Path(checkpoint)
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint not found: {path}')
    network = config and _decisive([segmentor_config(config), image_transforms(config)])
    return {
        'network': _digest(json.dumps(network, sort_keys=True, default=str).encode()),
        'checkpoint': sha256_of(path),
        'model': which,
        'tta': tta,
        'amp': amp,
    }


def _decisive(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: _decisive(v) for k, v in node.items() if k not in _INDECISIVE}
    if isinstance(node, (list, tuple)):
        return [_decisive(value) for value in node]
    return node


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _remove_results(out: Path, one: Input) -> None:
    if one.is_video:
        for path in (out / LABEL_FOLDER / one.name).glob('[0-9]*.png'):
            path.unlink()
        for folder in (COLOUR_FOLDER, OVERLAY_FOLDER):
            (out / folder / f'{one.name}.mp4').unlink(missing_ok=True)
        return
    for folder in FOLDERS:
        picture_file(out, folder, one.name).unlink(missing_ok=True)
