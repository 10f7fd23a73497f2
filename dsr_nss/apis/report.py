"""The demo's report: one HTML file that needs nothing else, and a JSON summary."""

import base64
import html
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch

from dsr_nss.apis.evaluate import LABEL_FOLDER
from dsr_nss.apis.files import write_json
from dsr_nss.classes import CLASSES, GROUPS, PALETTE
from dsr_nss.datasets.images import read_image, read_label
from dsr_nss.engine.environment import describe_environment
from dsr_nss.visualization.comparison import Compared, comparison_picture
from dsr_nss.visualization.curves import loss_figure, miou_figure, read_scalars, to_svg

TITLES = {'source_only': 'source only', 'dsr_nss': 'DSR-NSS'}
#: How many night images the report shows.
SHOWN = 4

_STYLE = """
:root { color-scheme: light dark; --ink: #202124; --soft: #5f6368; --line: #dadce0;
  --paper: #ffffff; --card: #f6f7f9; --first: #8a8f98; --second: #d55e00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --soft: #9aa0a6; --line: #3c4043;
  --paper: #17181a; --card: #222427; } }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1060px; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .7rem; }
p { margin: .4rem 0 .8rem; } .soft { color: var(--soft); font-size: .92rem; }
.figures { display: flex; gap: 1rem; flex-wrap: wrap; margin: 1.4rem 0; }
.figure { background: var(--card); border-radius: 10px; padding: .9rem 1.3rem; flex: 1 1 10rem; }
.figure b { display: block; font-size: 2.1rem; line-height: 1.2; font-weight: 650; }
img { width: 100%; border-radius: 6px; } .half { width: auto; max-width: 100%; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
td, th { padding: .2rem .5rem; text-align: left; border-bottom: 1px solid var(--line); }
td.n { text-align: right; font-variant-numeric: tabular-nums; width: 4rem; }
.bars { width: 55%; } .bar { height: .55rem; border-radius: 3px; margin: 2px 0; min-width: 1px; }
.source_only { background: var(--first); } .dsr_nss { background: var(--second); }
.key { display: inline-block; width: .8rem; height: .8rem; border-radius: 3px;
  margin: 0 .4rem 0 0; }
pre { background: var(--card); padding: .9rem; border-radius: 8px; white-space: pre-wrap;
  overflow-wrap: anywhere; font-size: .85rem; }
"""


class Run(Protocol):
    """What the report needs to know of a trained model; see `dsr_nss.apis.demo.DemoRun`."""

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
        runs: The models.
        seed: Of data and trainings.
        seconds: Wall time of the whole demo.
        test_set: Whose scores count.

    Returns:
        `{'source_only': {'mIoU': .., 'IoU/road': .., ...}, 'dsr_nss': {...}, 'gain': .., ...}`.
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
            'train_seconds': run.train_seconds,
        }
    first, last = runs[0].name, runs[-1].name
    summary |= {
        'gain': summary[last]['mIoU'] - summary[first]['mIoU'],
        'test_set': test_set,
        'seed': seed,
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
        runs: The models, the one without adaptation first.
        summary: Of `write_summary`.
        data: Root of the nightscape set.
        make_data: The command that made it.
    """
    test_set = summary['test_set']
    scalars = {TITLES[run.name]: read_scalars(run.folder) for run in runs}
    body = [
        '<h1>Day to night adaptation with DSR-NSS</h1>',
        '<p class="soft">Two networks start from the same weights and train for the same number '
        'of iterations on the same labelled day images. One of them also adapts to night images '
        'without labels. Both are tested at night, with the student of the last checkpoint.</p>',
        _headline(runs, summary),
        '<h2>What they see at night</h2>',
        _image(_png(_comparison(runs, data)), 'image/png', 'night, truth and predictions'),
        '<h2>mIoU on the night val set, during training</h2>',
        _image(to_svg(miou_figure(scalars, f'{test_set}/mIoU')), 'image/svg+xml', 'mIoU', 'half'),
        '<h2>Losses</h2>',
        _image(to_svg(loss_figure(scalars)), 'image/svg+xml', 'losses'),
        '<h2>IoU of each class at night, %</h2>',
        _class_table(runs, summary),
        '<h2>The data</h2>',
        '<p>Nightscape: procedural street scenes. A labelled day image of the source, and a night '
        'image of the target with its day reference (another position, other traffic).</p>',
        _image(_png(_data_strip(data)), 'image/png', 'source, label, night, reference'),
        '<h2>How this was made</h2>',
        _provenance(runs, summary, make_data),
    ]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>DSR-NSS demo</title><style>{_STYLE}</style></head><body>'
        f'{"".join(body)}</body></html>'
    )
    Path(path).write_text(page)


def _headline(runs: Sequence[Run], summary: Mapping[str, Any]) -> str:
    cards = [
        f'<div class="figure">{_key(run.name)}<b>{summary[run.name]["mIoU"]:.1f}</b>'
        '<span class="soft">mIoU at night, '
        f'{run.train_seconds / 60:.1f} min of training</span></div>'
        for run in runs
    ]
    cards.append(
        f'<div class="figure">gain<b>{summary["gain"]:+.1f}</b>'
        f'<span class="soft">mIoU points, seed {summary["seed"]}</span></div>'
    )
    return f'<div class="figures">{"".join(cards)}</div>'


def _key(name: str) -> str:
    return f'<span class="key {name}"></span>{TITLES[name]}'


def _class_table(runs: Sequence[Run], summary: Mapping[str, Any]) -> str:
    rows = [f'<tr><th></th><th>{"<br>".join(_key(r.name) for r in runs)}</th></tr>']
    names = [(f'IoU/{c}', c) for c in CLASSES]
    names += [(f'mIoU_{g}', f'mean of {g.replace("_", " ")}') for g in GROUPS if g != 'long_tail']
    for key, title in names:
        values = [summary[run.name].get(key) for run in runs]
        if any(value is None for value in values):
            continue
        bars = ''.join(
            f'<div class="bar {run.name}" style="width:{value:.1f}%"></div>'
            for run, value in zip(runs, values, strict=True)
        )
        cells = ''.join(f'<td class="n">{value:.1f}</td>' for value in values)
        rows.append(f'<tr><td>{title}</td><td class="bars">{bars}</td>{cells}</tr>')
    return f'<table>{"".join(rows)}</table>'


def _comparison(runs: Sequence[Run], data: Path) -> np.ndarray:
    root = data / 'dark_zurich'
    labels = sorted((root / 'gt/val/night').rglob('*_gt_labelTrainIds.png'))
    samples = []
    for label in labels[:: max(len(labels) // SHOWN, 1)][:SHOWN]:
        stem = label.name.removesuffix('_gt_labelTrainIds.png')
        night = root / 'rgb_anon/val/night' / label.parent.name / f'{stem}_rgb_anon.png'
        predictions = [_prediction(run.predictions / LABEL_FOLDER, stem) for run in runs]
        samples.append(Compared(read_image(night), read_label(label), tuple(predictions)))
    return comparison_picture(samples, [TITLES[run.name] for run in runs], CLASSES, PALETTE)


def _prediction(folder: Path, stem: str) -> np.ndarray:
    found = sorted(folder.rglob(f'{stem}*.png'))
    if not found:
        raise FileNotFoundError(f'no prediction for {stem} below {folder}')
    return read_label(found[0])


def _data_strip(data: Path) -> np.ndarray:
    from dsr_nss.visualization.colours import colourise
    from dsr_nss.visualization.tiles import fit, tile

    source = sorted((data / 'cityscapes/leftImg8bit/train').rglob('*.png'))[0]
    label = Path(
        str(source)
        .replace('/leftImg8bit/', '/gtFine/')
        .replace('_leftImg8bit.png', '_gtFine_labelTrainIds.png')
    )
    night = sorted((data / 'dark_zurich/rgb_anon/val/night').rglob('*.png'))[0]
    day = sorted((data / 'dark_zurich/rgb_anon/val_ref/day').rglob('*.png'))[0]
    coloured = colourise(read_label(label), PALETTE)
    pictures = [read_image(source), coloured, read_image(night), read_image(day)]
    return tile(
        [[fit(picture, 512, labels=i == 1) for i, picture in enumerate(pictures)]],
        ['source', 'its label', 'night (target)', 'day reference'],
    )


def _provenance(runs: Sequence[Run], summary: Mapping[str, Any], make_data: str) -> str:
    commands = [make_data, *(command for run in runs for command in run.commands)]
    device = 'GPU' if torch.cuda.is_available() else 'CPU'
    facts = {
        'whole demo': f'{summary["seconds"] / 60:.1f} minutes',
        'seed': summary['seed'],
        'machine': f'{platform.machine()}, {torch.get_num_threads()} threads, {device}',
        **summary['environment'],
    }
    rows = ''.join(
        f'<tr><td>{html.escape(str(k))}</td><td>{html.escape(_plain(v))}</td></tr>'
        for k, v in facts.items()
    )
    return f'<pre>{html.escape(chr(10).join(commands))}</pre><table>{rows}</table>'


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ', '.join(f'{k} {v}' for k, v in value.items())
    return value if isinstance(value, str) else json.dumps(value)


def _png(picture: np.ndarray) -> bytes:
    return cv2.imencode('.png', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def _image(content: bytes, kind: str, alt: str, css: str = '') -> str:
    data = base64.b64encode(content).decode()
    style = 'background:#fff' if kind == 'image/svg+xml' else ''
    return f'<img class="{css}" style="{style}" alt="{alt}" src="data:{kind};base64,{data}">'
