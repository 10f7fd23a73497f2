"""The demo's report: one HTML file that needs nothing else, and a JSON summary."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dsr_nss.classes import PALETTE
from dsr_nss.datasets.cityscapes import Cityscapes
from dsr_nss.datasets.dark_zurich import DarkZurich
from dsr_nss.datasets.images import read_image, read_label
from dsr_nss.engine.environment import describe_environment
from dsr_nss.evaluation.report_page import write_page
from dsr_nss.evaluation.run_report import run_entry
from dsr_nss.files import write_json
from dsr_nss.visualization.curves import read_scalars
from dsr_nss.visualization.encoded import label_png, photo_jpeg, uri

TITLES = {'source_only': 'source only', 'dsr_nss': 'DSR-NSS'}
_INTRO = (
    'Two networks start from the same weights and train for the same number of iterations on the '
    'same labelled day images. One of them also adapts to night images that have no labels. The '
    'scenes are synthetic and the training is short, so the figures cannot be compared with '
    'published ones.',
    'Scores below are those of the student in the last validation, on night images.',
)
_DATA = (
    'Nightscape, procedural street scenes: labelled day images of the source, and night images of '
    'the target, each with a day reference: about the same place, another position, other traffic.'
)
#: (address, what it shows)
Picture = tuple[str, str]


class Run(Protocol):
    """What the report needs to know of a trained model; see `dsr_nss.studies.demo.demo.DemoRun`."""

    name: str
    folder: Path
    scores: dict[str, Any]
    train_seconds: float
    commands: list[str]


def write_summary(
    path: str | Path, runs: Sequence[Run], *, seed: int, seconds: float, test_set: str
) -> dict[str, Any]:
    """Write the figures of the demo, in percent.

    Args:
        path: The JSON file.
        runs: The models, the one without adaptation first.
        seed: Seed of data and trainings.
        seconds: Wall time of the whole demo.
        test_set: Name of the set whose scores count.

    Returns:
        `{'source_only': {'mIoU': .., 'IoU/road': .., 'iterations': .., ...}, 'dsr_nss': {...},
        'gain': .., 'test_set': .., 'seed': .., 'iterations': .., 'seconds': ..,
        'environment': {...}}`.
    """
    prefix = f'{test_set}/'
    summary: dict[str, Any] = {}
    for run in runs:
        scores = {
            key.removeprefix(prefix): value
            for key, value in run.scores.items()
            if key.startswith(prefix)
        }
        summary[run.name] = {
            **scores,
            'model': run.scores['model'],
            'iterations': max(line['step'] for line in read_scalars(run.folder)),
            'train_seconds': run.train_seconds,
        }
    first, last = runs[0].name, runs[-1].name
    summary |= {
        'gain': summary[last]['mIoU'] - summary[first]['mIoU'],
        'test_set': test_set,
        'seed': seed,
        'iterations': summary[last]['iterations'],
        'seconds': seconds,
        'environment': describe_environment(),
    }
    write_json(path, summary)
    return summary


def write_demo_report(
    path: str | Path, runs: Sequence[Run], summary: Mapping[str, Any], data: Path, make_data: str
) -> None:
    """Write the report: that of the two trainings, with what the demo is about and its data.

    Args:
        path: The HTML file.
        runs: The models, the one without adaptation first.
        summary: The result of `write_summary`.
        data: Root of the nightscape set.
        make_data: The command that made it.

    Raises:
        FileNotFoundError: A scalar file or a part of the data is missing.
    """
    entries = [
        replace(run_entry(run.folder, TITLES[run.name]), commands=run.commands) for run in runs
    ]
    entries[0] = replace(entries[0], commands=[make_data, *entries[0].commands])
    tested = ', '.join(f'{TITLES[run.name]} {summary[run.name]["mIoU"]:.1f}' for run in runs)
    intro = [
        *_INTRO,
        f'Tested by tools/test.py, mIoU in percent: {tested}; seed {summary["seed"]}, the whole '
        f'demo took {summary["seconds"] / 60:.1f} minutes.',
    ]
    strip = ('The data', _DATA, _data_strip(data))
    write_page(path, entries, title='From day to night with DSR-NSS', intro=intro, strips=[strip])


def _data_strip(data: Path) -> list[Picture]:
    source = Cityscapes(data_root=str(data / 'cityscapes'), split='train', pipeline=[])
    target = DarkZurich(data_root=str(data / 'dark_zurich'), split='val', pipeline=[])
    labelled, pair = source.get_data_info(0), target.get_data_info(0)
    label = read_label(labelled['seg_map_path'])
    return [
        (_photo(read_image(labelled['img_path'])), 'source: day'),
        (uri('.png', label_png(label, PALETTE)), 'its label'),
        (_photo(read_image(pair['img_path'])), 'target: night'),
        (_photo(read_image(pair['reference_path'])), 'its day reference'),
    ]


def _photo(picture: np.ndarray) -> str:
    return uri('.jpg', photo_jpeg(picture))
