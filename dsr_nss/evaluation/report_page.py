"""`report.html`: trainings, or tests, side by side on one page that needs nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsr_nss.datasets.images import read_image
from dsr_nss.evaluation.picture_record import Record, Shown
from dsr_nss.evaluation.table import is_further, score_title
from dsr_nss.files import write_text
from dsr_nss.visualization.colours import IGNORE_COLOUR
from dsr_nss.visualization.curves import LINE_COLOURS, Scalars, curve_figure
from dsr_nss.visualization.encoded import file_uri, photo_jpeg, uri
from dsr_nss.visualization.page import chart_uris, render
from dsr_nss.visualization.tiles import fit

#: A panel of a training step is shrunk to this many pixels.
_PANEL_SIDE = 3200
_IOU, _MEAN = 'IoU/', 'mIoU_'


@dataclass(frozen=True)
class Entry:
    """A training or a test on the page.

    Attributes:
        title: What to call it.
        records: Scored sets by name.
        plots: Set -> figures of it as (what it shows, PNG file).
        scalars: What a training logged; empty for a test.
        panel: Iteration and file of the last picture of a training step.
        facts: Name -> value: machine, versions, seed.
        commands: What was run.
    """

    title: str
    records: Mapping[str, Record]
    plots: Mapping[str, Sequence[tuple[str, Path]]] = field(default_factory=dict)
    scalars: Scalars = field(default_factory=list)
    panel: tuple[int, Path] | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    commands: Sequence[str] = ()


#: Heading, text, and pictures as (address, caption).
Strip = tuple[str, str, Sequence[tuple[str, str]]]


def write_page(
    path: str | Path,
    entries: Sequence[Entry],
    *,
    title: str,
    intro: Sequence[str],
    strips: Sequence[Strip] = (),
) -> Path:
    """Writes the page.

    Args:
        path: The HTML file.
        entries: What stands side by side.
        title: Its heading.
        intro: Paragraphs below.
        strips: Rows of further pictures.
    """
    names = dict.fromkeys(name for entry in entries for name in entry.records)
    sets = [_set(name, entries) for name in names]
    records = [record for entry in entries for record in entry.records.values()]
    classes = _legend(records[0]) if records else []
    page = render(
        'report.html.jinja',
        title=title,
        intro=intro,
        entries=entries,
        colours=LINE_COLOURS,
        cards=[card for name in names for card in _cards(name, entries)],
        sets=sets,
        charts=list(_charts(entries)),
        panels=list(_panels(entries)),
        all_classes=classes,
        strips=strips,
        commands=[line for entry in entries for line in entry.commands],
        facts=_facts(entries),
    )
    return write_text(path, page)


# ---- scores -------------------------------------------------------------------------------------


def _cards(name: str, entries: Sequence[Entry]) -> Iterable[dict[str, Any]]:
    """The mIoU of each, and what two differ by that were scored on as many images."""
    scored = [(i, e, e.records[name]) for i, e in enumerate(entries) if name in e.records]
    for position, entry, record in scored:
        at = '' if record.iteration is None else f' after {record.iteration} iterations'
        note = f'mIoU on {name}{at}, {record.images} images'
        shown = position if len(entries) > 1 else None
        yield dict(
            title=entry.title, position=shown, value=f'{record.scores["mIoU"]:.1f}', note=note
        )
    if len(entries) == 2 == len(scored) and scored[0][2].images == scored[1][2].images:
        first, second = (record.scores['mIoU'] or 0.0 for _, _, record in scored)
        yield dict(
            title='difference',
            position=None,
            value=f'{second - first:+.1f}',
            note=f'mIoU points on {name}, second minus first; one run of each, so it says nothing '
            'of the spread between seeds',
        )


def _set(name: str, entries: Sequence[Entry]) -> dict[str, Any]:
    records = [entry.records.get(name) for entry in entries]
    there = [record for record in records if record is not None]
    keys = dict.fromkeys(key for record in there for key in record.scores)

    def row(text: str, key: str) -> tuple[str, list[float | None]]:
        return text, [None if record is None else record.scores.get(key) for record in records]

    groups = [k for k in keys if k.startswith(_MEAN) and k != 'mIoU_official']
    means = [row(key.removeprefix(_MEAN).replace('_', ' '), key) for key in groups]
    means += [row('all: mIoU', 'mIoU'), row('all: official', 'mIoU_official')]
    means += [row(score_title(key), key) for key in keys if is_further(key)]
    return dict(
        title=name,
        text=_how_scored(there),
        classes=[row(key.removeprefix(_IOU), key) for key in keys if key.startswith(_IOU)],
        means=means,
        legend=_legend(there[0]),
        drawn=_compared(name, 'drawn', entries),
        worst=_compared(name, 'worst', entries),
        plots=[
            (f'{entry.title}, {alt}', file_uri(file))
            for entry in entries
            for alt, file in entry.plots.get(name, ())
        ],
    )


def _how_scored(records: Sequence[Record]) -> str:
    images = ' or '.join(str(n) for n in dict.fromkeys(record.images for record in records))
    iterations = list(dict.fromkeys(record.iteration for record in records))
    if None in iterations:
        return f'{images} images.'
    at = ' and '.join(str(iteration) for iteration in iterations)
    return f'{images} images, at the last validation: iteration {at}.'


def _legend(record: Record) -> list[tuple[str, Sequence[int]]]:
    shown = list(zip(record.classes, record.palette, strict=True))
    return [*shown, ('not labelled', IGNORE_COLOUR)]


def _compared(name: str, kind: str, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Each image once, with the predictions of all entries that have it."""
    found: dict[str, list[tuple[int, Entry, Shown]]] = {}
    for position, entry in enumerate(entries):
        if name in entry.records:
            for shown in getattr(entry.records[name], kind):
                found.setdefault(shown.name, []).append((position, entry, shown))
    return [
        dict(
            name=image,
            image=file_uri(shown[0][2].image),
            label=file_uri(shown[0][2].label),
            predictions=[
                dict(
                    title=entry.title,
                    position=position,
                    prediction=file_uri(one.prediction),
                    mean=one.mean,
                    accuracy=one.accuracy,
                )
                for position, entry, one in shown
            ],
        )
        for image, shown in found.items()
    ]


# ---- trainings ----------------------------------------------------------------------------------


def _charts(entries: Sequence[Entry]) -> Iterable[tuple[str, list[str]]]:
    """mIoU on every set, then every term of the loss that some run has."""
    runs = [entry.scalars for entry in entries]
    keys = dict.fromkeys(key for scalars in runs for line in scalars for key in line)
    means = [key for key in keys if key.endswith('/mIoU')]
    losses = sorted(key for key in keys if key.startswith('loss_'))
    for key in [*means, *losses]:
        figures = {dark: curve_figure(runs, key, dark=dark) for dark in (False, True)}
        yield f'{key} over iterations', chart_uris(figures)


def _panels(entries: Sequence[Entry]) -> Iterable[dict[str, Any]]:
    for entry in entries:
        if entry.panel is not None:
            iteration, file = entry.panel
            picture = photo_jpeg(fit(read_image(str(file)), _PANEL_SIDE))
            yield dict(title=entry.title, iteration=iteration, source=uri('.jpg', picture))


def _facts(entries: Sequence[Entry]) -> list[tuple[str, list[str]]]:
    names = dict.fromkeys(name for entry in entries for name in entry.facts)
    return [(name, [entry.facts.get(name, 'not recorded') for entry in entries]) for name in names]
