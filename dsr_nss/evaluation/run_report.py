"""The report of trainings and tests: what their folders hold, side by side on one page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsr_nss.engine.run_info import read_starts
from dsr_nss.engine.work_dirs import saved_config
from dsr_nss.errors import DataError
from dsr_nss.evaluation.picture_record import RECORD, read_record
from dsr_nss.evaluation.report import CONFUSION, CURVE, PICTURES
from dsr_nss.evaluation.report_page import Entry, write_page
from dsr_nss.evaluation.validation_record import FOLDER
from dsr_nss.visualization.curves import read_scalars

#: Name of the page in a work dir.
PAGE = 'report.html'
_TESTED = 'Scores of tests, in percent, are over all images of the set.'
_NO_PACKAGES = ('git_commit', 'device', 'platform', 'python')


def write_run_report(runs: Sequence[str | Path], path: str | Path | None = None) -> Path:
    """Writes the page.

    Args:
        runs: Work dirs of trainings, or folders of `tools/test.py --report`.
        path: The HTML file; None: `report.html` in the first run.

    Returns:
        The file.

    Raises:
        FileNotFoundError: A folder holds no run.
        DataError: A run's record of its validation is damaged, or a folder is named twice.
    """
    folders = [Path(run) for run in runs]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise DataError('a run is named twice: every one needs a column of its own')
    names = [folder.resolve().name for folder in folders]
    doubled = len(set(names)) < len(names)  # then the whole paths tell them apart
    titles = [str(folder) if doubled else name for folder, name in zip(folders, names, strict=True)]
    entries = [_entry(folder, title) for folder, title in zip(folders, titles, strict=True)]
    heading = titles[0] if len(entries) == 1 else f'{len(entries)} runs side by side'
    return write_page(
        path or folders[0] / PAGE, entries, title=heading, intro=list(_intro(entries))
    )


def write_test_report(folder: str | Path, names: Sequence[str]) -> Path:
    """Writes the page of a test, from what `write_evaluation_report` wrote.

    Args:
        folder: Folder of the reports of its sets.
        names: The sets.
    """
    folder = Path(folder)
    entry = test_entry(folder, folder.resolve().name, names)
    return write_page(folder / PAGE, [entry], title=f'Test: {entry.title}', intro=[_TESTED])


def _entry(folder: Path, title: str) -> Entry:
    tested = sorted(path.parents[1].name for path in folder.glob(f'*/{PICTURES}/{RECORD}'))
    return test_entry(folder, title, tested) if tested else run_entry(folder, title)


def test_entry(folder: Path, title: str, names: Sequence[str]) -> Entry:
    """All that the folder of a test holds of some sets.

    Raises:
        DataError: A record is damaged.
    """
    records = {name: read_record(folder / name / PICTURES) for name in names}
    plots = {
        name: [(what, file) for what, file in _plots(folder / name) if file.is_file()]
        for name in names
    }
    starts = read_starts(folder)[-1:]
    return Entry(
        title=title,
        records={name: record for name, record in records.items() if record is not None},
        plots=plots,
        facts={'folder': str(folder), **_start_facts(starts)},
        commands=[str(start.get('command')) for start in starts],
    )


def _plots(folder: Path) -> list[tuple[str, Path]]:
    return [
        ('where the pixels of each class go', folder / CONFUSION),
        ('UIoU over the threshold', folder / CURVE),
    ]


def run_entry(folder: Path, title: str) -> Entry:
    """All that a work dir holds of a run.

    Raises:
        FileNotFoundError: It holds no run.
        DataError: Its record is damaged.
    """
    scalars = read_scalars(folder)
    record = read_record(folder / FOLDER)
    panels = sorted((folder / 'vis').glob('iter_*.png'))
    panel = (int(panels[-1].stem.removeprefix('iter_')), panels[-1]) if panels else None
    starts = read_starts(folder)
    return Entry(
        title=title,
        records={} if record is None else {record.title: record},
        scalars=scalars,
        panel=panel,
        facts=_facts(folder, starts, max(line['step'] for line in scalars)),
        commands=[str(start['command']) for start in starts if 'command' in start],
    )


def _intro(entries: Sequence[Entry]) -> list[str]:
    intro = []
    records = [record for entry in entries for record in entry.records.values()]
    if any(record.iteration is not None for record in records):
        intro.append('Scores of trainings are those of the student in the last validation.')
    if any(record.iteration is None for record in records):
        intro.append(_TESTED)
    missing = [entry.title for entry in entries if not entry.records]
    if missing:
        intro.append(
            f'No scores by class and no pictures: {", ".join(missing)} was not validated, or its '
            'config has no ValidationRecordHook.'
        )
    return intro


def _facts(folder: Path, starts: Sequence[Mapping[str, Any]], last: int) -> dict[str, str]:
    config = saved_config(folder)
    facts = {'folder': str(folder), 'last logged iteration': str(last)}
    if config is not None:
        facts['config'] = config[0].name
        facts['length'] = f'{config[1]["train_cfg"].get("max_iters", "?")} iterations'
        seed = (config[1].get('randomness') or {}).get('seed')
        facts['seed'] = str(seed)
    return facts | _start_facts(starts)


def _start_facts(starts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Of the last start; of an earlier one only the time."""
    facts = {}
    if starts:
        start = starts[-1]
        environment = dict(start.get('environment') or {})
        packages = {k: v for k, v in environment.items() if k not in _NO_PACKAGES}
        facts = {
            'started': ', '.join(str(each.get('time')) for each in starts),
            'hardware': str(start.get('machine')),
            'system': f'{environment.get("platform")}, Python {environment.get("python")}',
            'packages': ', '.join(f'{name} {version}' for name, version in packages.items()),
            'commit': str(environment.get('git_commit')),
        }
    return facts
