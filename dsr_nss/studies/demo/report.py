"""The demo's report: one HTML file that needs nothing else, and a JSON summary."""

import base64
import datetime
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from dsr_nss.classes import CLASSES, PALETTE
from dsr_nss.datasets.cityscapes import Cityscapes
from dsr_nss.datasets.dark_zurich import DarkZurich
from dsr_nss.datasets.images import read_image, read_label
from dsr_nss.engine.environment import describe_environment, describe_machine
from dsr_nss.evaluation.iou import REPORTED_GROUPS
from dsr_nss.files import write_json, write_text
from dsr_nss.inference.pictures import LABEL_FOLDER
from dsr_nss.visualization.colours import IGNORE_COLOUR, colourise
from dsr_nss.visualization.comparison import Compared, classes_present
from dsr_nss.visualization.curves import loss_figure, miou_figure, read_scalars, to_svg

TITLES = {'source_only': 'source only', 'dsr_nss': 'DSR-NSS'}
#: How many night images the report shows.
SHOWN = 4
#: (data URI, what it shows)
Picture = tuple[str, str]
_NO_PACKAGES = ('git_commit', 'device', 'platform', 'python')


@dataclass
class DemoRun:
    """One trained and tested model.

    Attributes:
        name: `source_only` or `dsr_nss`.
        folder: Work dir of its training.
        scores: The flat result of `tools/test.py`.
        predictions: Folder of its predictions.
        train_seconds: Wall time of the training.
        commands: What was run.
    """

    name: str
    folder: Path
    scores: dict[str, Any]
    predictions: Path
    train_seconds: float
    commands: list[str]


def write_summary(
    path: str | Path, runs: Sequence[DemoRun], *, seed: int, seconds: float, test_set: str
) -> dict[str, Any]:
    """Write the figures of the demo, in percent, of the models, the one without adaptation first.

    Args:
        path: The JSON file.
        runs: The models.
        seed: Seed of data and trainings.
        seconds: Wall time of the whole demo.
        test_set: Name of the set whose scores count.

    Returns:
        `{'source_only': {'mIoU': .., 'IoU/road': .., 'iterations': .., ...}, 'dsr_nss': {...},
        'gain': .., 'test_set': .., 'seed': .., 'iterations': .., 'seconds': ..,
        'environment': {...}}`.
    """
    prefix = f'{test_set}/'
    summary: dict[str, Any] = {
        run.name: {
            **{k.removeprefix(prefix): v for k, v in run.scores.items() if k.startswith(prefix)},
            'model': run.scores['model'],
            'iterations': max(line['step'] for line in read_scalars(run.folder)),
            'train_seconds': run.train_seconds,
        }
        for run in runs
    }
    first, last = summary[runs[0].name], summary[runs[-1].name]
    summary |= {
        'gain': last['mIoU'] - first['mIoU'],
        'test_set': test_set,
        'seed': seed,
        'iterations': last['iterations'],
        'seconds': seconds,
        'environment': describe_environment(),
    }
    write_json(path, summary)
    return summary


def write_demo_report(
    path: str | Path,
    runs: Sequence[DemoRun],
    summary: Mapping[str, Any],
    data: Path,
    make_data: str,
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
    miou = f'{summary["test_set"]}/mIoU'
    target = DarkZurich(data_root=str(data / 'dark_zurich'), split='val', pipeline=[])
    pictures, legend = _comparison(runs, target)

    def row(title: str, name: str) -> tuple[str, list[float | None]]:
        return title, [summary[run.name].get(name) for run in runs]

    means = [row(group.replace('_', ' '), f'mIoU_{group}') for group in REPORTED_GROUPS]
    loader = jinja2.PackageLoader(__package__, '.')
    pages = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    page = pages.get_template('report.html.jinja').render(
        summary=summary,
        runs=[{'title': TITLES[run.name], **summary[run.name]} for run in runs],
        comparison=pictures,
        comparison_captions=['night', 'ground truth', *scalars],
        legend=legend,
        classes=[row(name, f'IoU/{name}') for name in CLASSES],
        means=[*means, row('all: mIoU', 'mIoU'), row('all: official', 'mIoU_official')],
        miou_chart=[_svg(miou_figure(scalars, miou, dark)) for dark in (False, True)],
        loss_chart=[_svg(loss_figure(scalars, dark=dark)) for dark in (False, True)],
        panel=_training_step(runs[-1]),
        data=_data_strip(data, target),
        commands=[make_data, *(line for run in runs for line in run.commands)],
        facts=_provenance(runs, summary),
    )
    write_text(path, page)


def _comparison(
    runs: Sequence[DemoRun], target: DarkZurich
) -> tuple[list[Picture], list[tuple[str, tuple[int, ...]]]]:
    """Night, truth and predictions of each image; the classes that are shown, and their colours."""
    names = ['ground truth', *(TITLES[run.name] for run in runs)]
    pictures, samples = [], []
    for position in np.linspace(0, len(target) - 1, min(SHOWN, len(target))).round():
        info = target.get_data_info(int(position))
        stem, image = Path(info['img_path']).stem, read_image(info['img_path'])
        label, *predictions = maps = [
            read_label(info['seg_map_path']),
            *(_prediction(run.predictions / LABEL_FOLDER, stem) for run in runs),
        ]
        pictures.append((_photo(image), f'{stem}, night'))
        pictures += [(_map(ids), f'{stem}, {name}') for ids, name in zip(maps, names, strict=True)]
        samples.append(Compared(image, label, tuple(predictions)))
    shown = [(CLASSES[i], tuple(PALETTE[i])) for i in classes_present(samples)]
    return pictures, [*shown, ('not labelled', IGNORE_COLOUR)]


def _prediction(folder: Path, stem: str) -> np.ndarray:
    found = sorted(folder.rglob(f'{stem}.png'))
    if not found:
        raise FileNotFoundError(f'no prediction {stem}.png below {folder}')
    return read_label(found[0])


def _training_step(run: DemoRun) -> dict[str, Any] | None:
    """The last picture that the panel hook left, if it left one."""
    panels = sorted((run.folder / 'vis').glob('iter_*.png'))
    if not panels:
        return None
    iteration = int(panels[-1].stem.removeprefix('iter_'))
    return {'iteration': iteration, 'source': _photo(read_image(panels[-1]))}


def _data_strip(data: Path, target: DarkZurich) -> list[Picture]:
    source = Cityscapes(data_root=str(data / 'cityscapes'), split='train', pipeline=[])
    labelled, pair = source.get_data_info(0), target.get_data_info(0)
    return [
        (_photo(read_image(labelled['img_path'])), 'source: day'),
        (_map(read_label(labelled['seg_map_path'])), 'its label'),
        (_photo(read_image(pair['img_path'])), 'target: night'),
        (_photo(read_image(pair['reference_path'])), 'its day reference'),
    ]


def _provenance(runs: Sequence[DemoRun], summary: Mapping[str, Any]) -> dict[str, str]:
    environment = summary['environment']
    packages = [f'{k} {v}' for k, v in environment.items() if k not in _NO_PACKAGES]
    trained = [f'{TITLES[r.name]} {r.train_seconds / 60:.1f} min' for r in runs]
    return {
        'made': datetime.datetime.now().astimezone().strftime('%Y-%m-%d %H:%M %Z'),
        'whole demo': f'{summary["seconds"] / 60:.1f} min',
        'trainings': ', '.join(trained),
        'iterations': str(summary['iterations']),
        'seed': str(summary['seed']),
        'hardware': describe_machine(),
        'system': f'{environment["platform"]}, Python {environment["python"]}',
        'packages': ', '.join(packages),
        'commit': environment['git_commit'],
    }


def _photo(picture: np.ndarray) -> str:
    """`(H, W, 3)` uint8 RGB as a JPEG in the page."""
    return _image(picture, 'jpeg', quality=88)


def _map(ids: np.ndarray) -> str:
    """`(H, W)` class ids in their colours, exactly."""
    return _image(colourise(ids, PALETTE), 'png', optimize=True)


def _image(picture: np.ndarray, kind: str, **settings: Any) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **settings)
    return _uri(f'image/{kind}', buffer.getvalue())


def _svg(figure: Figure) -> str:
    return _uri('image/svg+xml', to_svg(figure))


def _uri(kind: str, content: bytes) -> str:
    return f'data:{kind};base64,{base64.b64encode(content).decode()}'
