"""The demo's report: one HTML file that needs nothing else, and a JSON summary."""

import base64
import datetime
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
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
from dsr_nss.visualization.comparison import Compared, classes_present
from dsr_nss.visualization.curves import loss_figure, miou_figure, read_scalars, to_svg

TITLES = {'source_only': 'source only', 'dsr_nss': 'DSR-NSS'}
#: How many night images the report shows.
SHOWN = 4
#: (data URI, what it shows)
Picture = tuple[str, str]
_NO_PACKAGES = ('git_commit', 'device', 'platform', 'python')


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
    titles = [TITLES[run.name] for run in runs]
    scalars = {title: read_scalars(run.folder) for title, run in zip(titles, runs, strict=True)}
    miou = f'{summary["test_set"]}/mIoU'
    pictures, legend = _comparison(runs, data)

    def row(title: str, name: str) -> tuple[str, list[float | None]]:
        return title, [summary[run.name].get(name) for run in runs]

    means = [row(group.replace('_', ' '), f'mIoU_{group}') for group in REPORTED_GROUPS]
    means += [row('all: mIoU', 'mIoU'), row('all: official', 'mIoU_official')]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, '.'),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template('report.html.jinja').render(
        summary=summary,
        runs=[
            {
                'title': title,
                'miou': summary[run.name]['mIoU'],
                'iterations': summary[run.name]['iterations'],
                'minutes': run.train_seconds / 60,
            }
            for title, run in zip(titles, runs, strict=True)
        ],
        comparison=pictures,
        comparison_captions=['night', 'ground truth', *titles],
        legend=legend,
        classes=[row(name, f'IoU/{name}') for name in CLASSES],
        means=means,
        miou_chart=[_svg(miou_figure(scalars, miou, dark)) for dark in (False, True)],
        loss_chart=[_svg(loss_figure(scalars, dark=dark)) for dark in (False, True)],
        panel=_training_step(runs[-1]),
        data=_data_strip(data),
        commands=[make_data, *(line for run in runs for line in run.commands)],
        facts=_provenance(runs, summary),
    )
    write_text(path, page)


def _comparison(
    runs: Sequence[Run], data: Path
) -> tuple[list[Picture], list[tuple[str, tuple[int, ...]]]]:
    """Night, truth and predictions of each image; the classes that are shown, and their colours."""
    dataset = DarkZurich(data_root=str(data / 'dark_zurich'), split='val', pipeline=[])
    names = ['ground truth', *(TITLES[run.name] for run in runs)]
    pictures, samples = [], []
    for position in np.linspace(0, len(dataset) - 1, min(SHOWN, len(dataset))).round():
        info = dataset.get_data_info(int(position))
        stem = Path(info['img_path']).stem
        sample = Compared(
            read_image(info['img_path']),
            read_label(info['seg_map_path']),
            tuple(_prediction(run.predictions / LABEL_FOLDER, stem) for run in runs),
        )
        maps = zip(names, (sample.label, *sample.predictions), strict=True)
        pictures.append((_photo(sample.image), f'{stem}, night'))
        pictures += [(_label_map(ids), f'{stem}, {name}') for name, ids in maps]
        samples.append(sample)
    shown = [(CLASSES[i], tuple(PALETTE[i])) for i in classes_present(samples)]
    return pictures, [*shown, ('not labelled', (0, 0, 0))]


def _prediction(folder: Path, stem: str) -> np.ndarray:
    found = sorted(folder.rglob(f'{stem}.png'))
    if not found:
        raise FileNotFoundError(f'no prediction {stem}.png below {folder}')
    return read_label(found[0])


def _training_step(run: Run) -> dict[str, Any] | None:
    """The last picture that the panel hook left, if it left one."""
    panels = sorted((run.folder / 'vis').glob('iter_*.png'))
    if not panels:
        return None
    iteration = int(panels[-1].stem.removeprefix('iter_'))
    return {'iteration': iteration, 'source': _photo(read_image(panels[-1]))}


def _data_strip(data: Path) -> list[Picture]:
    source = Cityscapes(data_root=str(data / 'cityscapes'), split='train', pipeline=[])
    target = DarkZurich(data_root=str(data / 'dark_zurich'), split='val', pipeline=[])
    labelled, pair = source.get_data_info(0), target.get_data_info(0)
    return [
        (_photo(read_image(labelled['img_path'])), 'source: day'),
        (_label_map(read_label(labelled['seg_map_path'])), 'its label'),
        (_photo(read_image(pair['img_path'])), 'target: night'),
        (_photo(read_image(pair['reference_path'])), 'its day reference'),
    ]


def _provenance(runs: Sequence[Run], summary: Mapping[str, Any]) -> dict[str, str]:
    trained = ', '.join(f'{TITLES[r.name]} {r.train_seconds / 60:.1f} min' for r in runs)
    packages = {k: v for k, v in summary['environment'].items() if k not in _NO_PACKAGES}
    environment = summary['environment']
    return {
        'made': datetime.datetime.now().astimezone().strftime('%Y-%m-%d %H:%M %Z'),
        'whole demo': f'{summary["seconds"] / 60:.1f} min',
        'trainings': trained,
        'iterations': str(summary['iterations']),
        'seed': str(summary['seed']),
        'hardware': describe_machine(),
        'system': f'{environment["platform"]}, Python {environment["python"]}',
        'packages': ', '.join(f'{name} {version}' for name, version in packages.items()),
        'commit': environment['git_commit'],
    }


# ---- pictures in the page -----------------------------------------------------------------------


def _photo(picture: np.ndarray) -> str:
    """`(H, W, 3)` uint8 RGB as a JPEG."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
    return _uri('image/jpeg', data)


def _label_map(ids: np.ndarray) -> str:
    """`(H, W)` class ids in their colours, as a small exact PNG; 255 is black."""
    image = Image.fromarray(ids.astype(np.uint8))
    table = np.zeros((256, 3), np.uint8)
    table[: len(PALETTE)] = PALETTE
    image.putpalette(table.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, 'png', optimize=True)
    return _uri('image/png', buffer.getvalue())


def _svg(figure: Figure) -> str:
    return _uri('image/svg+xml', to_svg(figure))


def _uri(kind: str, content: bytes) -> str:
    return f'data:{kind};base64,{base64.b64encode(content).decode()}'
