"""What a report shows of a scored set: its scores and a few images with label and prediction.

A folder with `record.json` and small picture files, so that a report needs neither data set nor
network. Validation during training leaves one, and so does `tools/test.py --report`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dsr_nss.datasets.images import read_image
from dsr_nss.errors import DataError
from dsr_nss.evaluation.worst_cases import ImageScore, WorstCases
from dsr_nss.files import make_folder, write_bytes, write_json
from dsr_nss.visualization.encoded import label_png, photo_jpeg
from dsr_nss.visualization.tiles import fit

RECORD = 'record.json'
#: Pictures are shrunk to this many pixels.
SIDE = 768
#: Of how many of the worst images pictures are written.
WORST = 4


@dataclass(frozen=True)
class Shown:
    """An image of the set.

    Attributes:
        name: The image within its set.
        mean: Mean IoU over the classes that occur in its label, percent.
        accuracy: Share of the labelled pixels that are right, percent.
        image, label, prediction: Picture files.
    """

    name: str
    mean: float
    accuracy: float
    image: Path
    label: Path
    prediction: Path


@dataclass(frozen=True)
class Record:
    """A scored set.

    Attributes:
        title: Name of the set.
        images: Number of its images with a labelled pixel.
        iteration: When a training validated on it; None for a test.
        classes: Names of all classes.
        palette: RGB of each.
        scores: Flat scores without the set's name; percent, or None where nothing occurs.
        worst: The images with the lowest scores, the worst first.
        drawn: Images that were drawn by their names.
    """

    title: str
    images: int
    iteration: int | None
    classes: Sequence[str]
    palette: Sequence[Sequence[int]]
    scores: Mapping[str, float | None]
    worst: Sequence[Shown]
    drawn: Sequence[Shown]


def write_record(
    folder: Path,
    *,
    title: str,
    images: WorstCases,
    palette: Sequence[Sequence[int]],
    scores: Mapping[str, Any],
    iteration: int | None = None,
) -> None:
    """Writes the record of a set; pictures of an older one are replaced.

    Args:
        folder: Its folder.
        title, palette, scores, iteration: See `Record`.
        images: Scores of all images, label and prediction of some.
    """
    make_folder(folder)
    for old in (*folder.glob('*.png'), *folder.glob('*.jpg')):
        old.unlink()
    content = dict(
        title=title,
        images=len(images.scores()),
        iteration=iteration,
        classes=list(images.classes),
        palette=[list(map(int, colour)) for colour in palette],
        scores=dict(scores),
        worst=_write_all(folder, 'worst', images.worst()[:WORST], palette),
        drawn=_write_all(folder, 'drawn', images.drawn(), palette),
    )
    write_json(folder / RECORD, content)


def _write_all(
    folder: Path,
    kind: str,
    images: Sequence[tuple[ImageScore, np.ndarray, np.ndarray]],
    palette: Sequence[Sequence[int]],
) -> list[dict[str, Any]]:
    return [
        _write(folder, f'{kind}{place}', score, label, prediction, palette)
        for place, (score, label, prediction) in enumerate(images, start=1)
    ]


def _write(
    folder: Path,
    stem: str,
    score: ImageScore,
    label: np.ndarray,
    prediction: np.ndarray,
    palette: Sequence[Sequence[int]],
) -> dict[str, Any]:
    files = dict(
        image=(f'{stem}.jpg', photo_jpeg(fit(read_image(score.image_file), SIDE))),
        label=(f'{stem}_label.png', label_png(fit(label, SIDE, labels=True), palette)),
        prediction=(
            f'{stem}_prediction.png',
            label_png(fit(prediction, SIDE, labels=True), palette),
        ),
    )
    for name, content in files.values():
        write_bytes(folder / name, content)
    return dict(
        name=score.name,
        mean=score.mean,
        accuracy=score.accuracy,
        **{kind: name for kind, (name, _) in files.items()},
    )


def read_record(folder: Path) -> Record | None:
    """The record in a folder; None if there is none.

    Raises:
        DataError: It is not what `write_record` writes.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text('utf-8'))
        for kind in ('worst', 'drawn'):
            content[kind] = [_shown(folder, entry) for entry in content[kind]]
        return Record(**content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f'{path} is no record of a scored set ({error}); remove it') from error


def _shown(folder: Path, entry: dict[str, Any]) -> Shown:
    # the name alone: a record from elsewhere cannot show files of other folders
    files = {kind: folder / Path(entry[kind]).name for kind in ('image', 'label', 'prediction')}
    return Shown(entry['name'], float(entry['mean']), float(entry['accuracy']), **files)
