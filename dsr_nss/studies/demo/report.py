"""The demo's report: one HTML file that needs nothing else, and a JSON summary."""

import datetime
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dsr_nss.classes import CLASSES, PALETTE
from dsr_nss.datasets.cityscapes import Cityscapes
from dsr_nss.datasets.dark_zurich import DarkZurich
from dsr_nss.datasets.images import read_image, read_label
from dsr_nss.engine.environment import describe_environment, describe_machine
from dsr_nss.evaluation.iou import REPORTED_GROUPS
from dsr_nss.files import write_json, write_text
from dsr_nss.inference.pictures import LABEL_FOLDER
from dsr_nss.studies.demo import page as ui
from dsr_nss.visualization.comparison import Compared, classes_present
from dsr_nss.visualization.curves import Scalars, loss_figure, miou_figure, read_scalars

TITLES = {'source_only': 'source only', 'dsr_nss': 'DSR-NSS'}
#: How many night images the report shows.
SHOWN = 4

_INTRODUCTION = (
    'Two networks start from the same weights and train for the same number of iterations on the '
    'same labelled <em>day</em> images. One of them also adapts to <em>night</em> images that have '
    'no labels. Both are tested at night: last checkpoint, student. The scenes are synthetic and '
    'the training is short, so the figures show that the adaptation works here; they cannot be '
    'compared with published ones.'
)


class Run(Protocol):
    """What the report needs to know of a trained model; see `dsr_nss.studies.demo.demo.DemoRun`."""

    name: str
    folder: Path
    scores: dict[str, Any]
    predictions: Path
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
            'iterations': _iterations(read_scalars(run.folder)),
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
    """Write the report.

    Args:
        path: The HTML file.
        runs: The models, the one without adaptation first; at most two.
        summary: The result of `write_summary`.
        data: Root of the nightscape set.
        make_data: The command that made it.

    Raises:
        FileNotFoundError: A prediction, a scalar file or a part of the data is missing.
    """
    scalars = {TITLES[run.name]: read_scalars(run.folder) for run in runs}
    set_title = summary['test_set'].replace('_', ' ')
    body = [
        f'<header><h1>From day to night with DSR-NSS</h1><p>{_INTRODUCTION}</p></header>',
        _headline(runs, summary),
        ui.section(
            'What they see at night',
            f'{SHOWN} images of <em>{html.escape(set_title)}</em>, evenly spaced, not chosen.',
            _comparison(runs, data),
        ),
        ui.section(
            'IoU of each class at night',
            'Percent of the union. Means are over the classes that occur in the labels; '
            '<em>official</em> also counts a class that is predicted but absent, as 0.',
            _names(runs),
            _scores(runs, summary),
        ),
        ui.section('During training', 'mIoU at night, then losses.', _curves(scalars, summary)),
        _training_step(runs[-1]),
        ui.section(
            'The data',
            'Nightscape, procedural street scenes: labelled day images of the source, and night '
            'images of the target, each with a day reference: about the same place, another '
            'position, other traffic.',
            _data_strip(data),
        ),
        ui.section(
            'How this was made',
            'Each step by hand:',
            ui.commands([make_data, *(line for run in runs for line in run.commands)]),
            ui.facts(_provenance(runs, summary)),
        ),
    ]
    write_text(path, ui.page('From day to night with DSR-NSS', body))


def _headline(runs: Sequence[Run], summary: Mapping[str, Any]) -> str:
    cards = [
        (
            ui.key(i, TITLES[run.name]),
            f'{summary[run.name]["mIoU"]:.1f}',
            f'mIoU at night after {summary[run.name]["iterations"]} iterations, '
            f'{run.train_seconds / 60:.1f} min',
        )
        for i, run in enumerate(runs)
    ]
    gain = (f'{summary["gain"]:+.1f}', f'mIoU points, seed {summary["seed"]}')
    return ui.headline([*cards, ('gain', *gain)])


def _names(runs: Sequence[Run]) -> str:
    names = [ui.key(i, TITLES[run.name]) for i, run in enumerate(runs)]
    return f'<div class="names">{"".join(names)}</div>'


def _comparison(runs: Sequence[Run], data: Path) -> str:
    dataset = DarkZurich(data_root=str(data / 'dark_zurich'), split='val', pipeline=[])
    names = ['night', 'ground truth', *(TITLES[run.name] for run in runs)]
    pictures, samples = [], []
    for position in np.linspace(0, len(dataset) - 1, min(SHOWN, len(dataset))).round():
        info = dataset.get_data_info(int(position))
        stem = Path(info['img_path']).stem
        sample = Compared(
            read_image(info['img_path']),
            read_label(info['seg_map_path']),
            tuple(_prediction(run.predictions / LABEL_FOLDER, stem) for run in runs),
        )
        maps = zip(names[1:], (sample.label, *sample.predictions), strict=True)
        pictures.append(ui.photo(sample.image, f'{stem}, night'))
        pictures += [ui.label_map(ids, PALETTE, f'{stem}, {name}') for name, ids in maps]
        samples.append(sample)
    return ui.grid(names, pictures) + _legend(classes_present(samples))


def _prediction(folder: Path, stem: str) -> np.ndarray:
    found = sorted(folder.rglob(f'{stem}.png'))
    if not found:
        raise FileNotFoundError(f'no prediction {stem}.png below {folder}')
    return read_label(found[0])


def _legend(ids: Sequence[int]) -> str:
    """Classes that are shown, and what black means."""
    names, colours = [CLASSES[i] for i in ids], [PALETTE[i] for i in ids]
    return ui.legend([*names, 'not labelled'], [*colours, (0, 0, 0)])


def _scores(runs: Sequence[Run], summary: Mapping[str, Any]) -> str:
    def row(title: str, name: str) -> ui.Row:
        return title, [summary[run.name].get(name) for run in runs]

    means = [row(group.replace('_', ' '), f'mIoU_{group}') for group in REPORTED_GROUPS]
    means += [row('all: mIoU', 'mIoU'), row('all: official', 'mIoU_official')]
    return ui.bars([row(name, f'IoU/{name}') for name in CLASSES], means)


def _curves(scalars: Mapping[str, Scalars], summary: Mapping[str, Any]) -> str:
    miou = f'{summary["test_set"]}/mIoU'
    return (
        '<div class="curves">'
        + ui.chart(lambda dark: miou_figure(scalars, miou, dark), 'mIoU at night over iterations')
        + ui.chart(lambda dark: loss_figure(scalars, dark=dark), 'losses over iterations')
        + '</div>'
    )


def _training_step(run: Run) -> str:
    """The last picture that the panel hook left, if it left one."""
    panels = sorted((run.folder / 'vis').glob('iter_*.png'))
    if not panels:
        return ''
    return ui.section(
        'Inside a training step',
        f'Iteration {int(panels[-1].stem.removeprefix("iter_"))} of {TITLES[run.name]}, one sample '
        'a row: objects of the source are pasted into the night image; its label is the '
        "teacher's prediction.",
        ui.photo(read_image(panels[-1]), 'one training step'),
    )


def _data_strip(data: Path) -> str:
    source = Cityscapes(data_root=str(data / 'cityscapes'), split='train', pipeline=[])
    target = DarkZurich(data_root=str(data / 'dark_zurich'), split='val', pipeline=[])
    labelled, pair = source.get_data_info(0), target.get_data_info(0)
    label = read_label(labelled['seg_map_path'])
    captions = ['source: day', 'its label', 'target: night', 'its day reference']
    pictures = [
        ui.photo(read_image(labelled['img_path']), captions[0]),
        ui.label_map(label, PALETTE, captions[1]),
        ui.photo(read_image(pair['img_path']), captions[2]),
        ui.photo(read_image(pair['reference_path']), captions[3]),
    ]
    return ui.grid(captions, pictures)


def _provenance(runs: Sequence[Run], summary: Mapping[str, Any]) -> dict[str, str]:
    trained = ', '.join(f'{TITLES[r.name]} {r.train_seconds / 60:.1f} min' for r in runs)
    environment = dict(summary['environment'])
    commit = environment.pop('git_commit', 'unknown')
    environment.pop('device', None)
    machine, python = environment.pop('platform', ''), environment.pop('python', '')
    return {
        'made': datetime.datetime.now().astimezone().strftime('%Y-%m-%d %H:%M %Z'),
        'whole demo': f'{summary["seconds"] / 60:.1f} min',
        'trainings': trained,
        'iterations': str(summary['iterations']),
        'seed': str(summary['seed']),
        'hardware': describe_machine(),
        'system': f'{machine}, Python {python}',
        'packages': ', '.join(f'{name} {version}' for name, version in environment.items()),
        'commit': commit,
    }


def _iterations(scalars: Scalars) -> int:
    return max(line['step'] for line in scalars)
