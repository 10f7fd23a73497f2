"""Tables of one's own: a file of rows, or configs and runs that are named on the command line."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from mmengine.config import Config

from dsr_nss.engine.config import open_config
from dsr_nss.engine.options import option_values
from dsr_nss.errors import ConfigError
from dsr_nss.nightscape.generate import INFO_NAME
from dsr_nss.shipped import PREFIX, config_file
from dsr_nss.studies.tables.rows import DATA, columns_of, drawn, table, tables_on
from dsr_nss.studies.tables.runs import Run, Settings, run_changes, trained_config
from dsr_nss.studies.tables.table import Column, Row, Table
from dsr_nss.values import Bounds, problems

_LONGEST_NAME = 100
#: Fields of a file of rows, and of each of its rows.
_FIELDS = dict(rows=list[Any], title=str, test_sets=list[str], reference=str | None,
               logged=list[str], detailed=bool, seeds=list[Annotated[int, Bounds(0)]])  # fmt: skip
_ROW_FIELDS = dict(name=str, label=str, config=str, overlays=list[str], options=dict, group=str)


def own_table(path: Path, data: str) -> Table:
    """A table of one's own from a Python file with `rows`; if wanted also `title`, `test_sets`,
    `reference`, the name of the row that all differences are taken from, `logged`, names of scalars
    in the logs of the trainings, `detailed`, whether recall of small objects is measured too, and
    `seeds`, the seeds that it is of.

    Each of its `rows` is the name of a row of the paper's tables, or a dict with `name` and
    `config` and, if wanted, `label`, `overlays`, `options` and `group`; see `Row`.

    Raises:
        FileNotFoundError: There is no such file.
        ConfigError: It has no rows, or one that means nothing.
    """
    content = open_config(path)
    _check_fields({k: v for k, v in content.items() if not k.startswith('_')}, _FIELDS, str(path))
    known = {  # of a row in several tables the label of the first
        row.name: row for name in tables_on(data)[::-1] for row in table(name, data).runnable()
    }
    rows = [_own_row(entry, known, path) for entry in content.get('rows') or ()]
    _require_names(rows, f'{path}: `rows` must be a list of rows with different names')
    title = content.get('title') or path.stem
    heading = f'{title[:1].upper()}{title[1:]}, on {DATA[data]}'
    columns = tuple(map(Column, content.get('test_sets') or ())) or columns_of('', data)
    detailed = bool(content.get('detailed'))
    columns = tuple(replace(column, detailed=detailed, of=drawn(data)) for column in columns)
    command = ('tools/reproduce.py', '--rows-file', str(path), '--data', data)
    reference = content.get('reference')
    if reference not in (None, *(row.name for row in rows)):
        raise ConfigError(f'{path}: `reference` must be the name of one of its rows: {reference!r}')
    return replace(
        Table(path.stem, data, heading, columns, tuple(rows), command),
        reference=reference,
        logged=tuple(content.get('logged') or ()),
        seeds=tuple(content.get('seeds') or ()),
    )


def _check_fields(content: Mapping[str, Any], fields: Mapping[str, Any], place: str) -> None:
    """Names and types of what a file of rows states."""
    for name, value in content.items():
        if name not in fields:
            raise ConfigError(
                f'{place}: unknown field {name}; known are {", ".join(sorted(fields))}, and names '
                'of your own that begin with _'
            )
        for problem in problems(value, fields[name], f'{place}: {name}'):
            raise ConfigError(problem)


def _own_row(entry: Any, known: Mapping[str, Row], path: Path) -> Row:
    if isinstance(entry, str) and entry in known:
        return replace(known[entry], paper=None, group='')
    if not isinstance(entry, dict) or not {'name', 'config'} <= entry.keys() <= _ROW_FIELDS.keys():
        raise ConfigError(
            f'{path}: {entry!r} is no row; a row is a name that --list has, or '
            f'dict(name=..., config=...) with any of {", ".join(sorted(_ROW_FIELDS))}'
        )
    name = entry['name']
    _check_fields(entry, _ROW_FIELDS, f'{path}: row {name!r}')
    if name in known or '/' in name:
        raise ConfigError(f'{path}: the row {name!r} needs another name, the tables have it')
    options = _options(entry.get('options', {}), f'{path}: an option of {name!r}')
    fields = {'label': name, **entry, 'overlays': tuple(entry.get('overlays', ()))}
    return Row(**fields | {'options': options})


def compared_table(
    words: Sequence[str],
    *,
    overlays: Sequence[str] = (),
    options: Sequence[str] = (),
    test_sets: Sequence[str] = (),
    name: str = 'comparison',
) -> Table:
    """The table of what `tools/compare.py` names; differences are from its first row.

    Args:
        words: Each is `CONFIG` or `CONFIG+PART...`; or `+PART...`, of the config that was named
            last; or the folder of a run, where folders that differ in nothing but the seed, and
            in a number at the end of their names, are one row. A part is an option `KEY=VALUE` or
            an overlay: a file, or the name of one in `configs/ablations/`.
        overlays: Files for every config, after its own.
        options: Texts `KEY=VALUE` for every config, after its own.
        test_sets: Names of sets; none: those that the first row's config tests on by default.
        name: What to call the table and its files.

    Raises:
        FileNotFoundError: A config or an overlay is not there.
        ConfigError: A word means nothing, or two mean the same.
    """
    rows: list[Row] = []
    config = ''
    for word in words:
        if Path(word).is_dir():
            _add_run(rows, Path(word))
            continue
        first, *parts = [word] if Path(word).is_file() else re.split(r'(?<!\+)(?<!\d[eE])\+', word)
        config = first or config
        if not config.endswith('.py') and not config.startswith(PREFIX):
            raise ConfigError(f'{word} is neither a config (.py) nor the folder of a run')
        rows.append(_compared_row(config, parts, overlays, options))
    _require_names(rows, f'{" ".join(words)}: name rows that differ')
    content = Run(rows[0], next(iter(dict(rows[0].folders)), 0), Settings('')).config()
    sets = test_sets or content.get('default_test_sets') or list(content.get('test_sets') or ())[:1]
    if not sets:
        raise ConfigError(f'{rows[0].config} has no test_sets to compare on')
    if (overlays or options) and all(row.folders for row in rows):
        raise ConfigError('--with and --cfg-options are of configs; runs are compared as they are')
    given = {'--with': overlays, '--cfg-options': options, '--dataset': [','.join(sets)],
             '--name': [name]}  # fmt: skip
    command = [part for option, values in given.items() if values for part in (option, *values)]
    command = ['tools/compare.py', *words, *command]
    columns = tuple(Column(one, of=_drawn_by(content, one)) for one in sets)
    return Table(
        name, '', name.capitalize(), columns, tuple(rows), tuple(command),
        reference=rows[0].name, notes=tuple(_other_data(rows, sets)),
    )  # fmt: skip


def _other_data(rows: Sequence[Row], sets: Sequence[str]) -> Iterator[str]:
    """Says so where a set of one name is not the same data in all rows."""
    for name in sets:
        places: dict[str, list[str]] = {}
        for row in rows:
            for seed in dict(row.folders) or (0,):
                known = Run(row, seed, Settings('')).config().get('test_sets') or {}
                if root := known.get(name, {}).get('data_root'):
                    places.setdefault(root, []).append(row.label)
        if len(places) > 1:
            each = (f'{root} ({", ".join(dict.fromkeys(of))})' for root, of in places.items())
            yield f'{name} is not the same data in all rows: {"; ".join(each)}.'


def _drawn_by(config: Config, test_set: str) -> str:
    """`Column.of`."""
    root = (config.get('test_sets') or {}).get(test_set, {}).get('data_root')
    return 'nightscape' if root and (Path(root).parent / INFO_NAME).is_file() else ''


def _compared_row(
    config: str, parts: Sequence[str], overlays: Sequence[str], options: Sequence[str]
) -> Row:
    files = [part if part.endswith('.py') or part.startswith(PREFIX)
             else f'configs/ablations/{part}.py' for part in parts if '=' not in part]  # fmt: skip
    texts = [part for part in parts if '=' in part]
    own = [config_file(file).stem for file in (config, *files)] + texts
    common = [*(config_file(file).stem for file in overlays), *options]
    values = _options(option_values([*texts, *options]), '--cfg-options')
    name = '-'.join([*own, *common]).replace('/', '_')
    if len(name) > _LONGEST_NAME:  # it names a folder
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = f'{name[:_LONGEST_NAME]}-{digest}'
    return Row(name, ' + '.join(own), config=config, overlays=(*files, *overlays), options=values)


def _add_run(rows: list[Row], folder: Path) -> None:
    """Another row, or another seed of one."""
    path, config = trained_config(folder)
    seed = (config.get('randomness') or {}).get('seed') or 0
    for i, row in enumerate(rows):
        alike = row.folders and _unnumbered(row.label) == _unnumbered(str(folder))
        if alike and seed not in dict(row.folders):
            changes = run_changes(trained_config(Path(row.folders[0][1]))[1], config)
            if all(line.partition(':')[0].endswith('.seed') for line in changes):
                rows[i] = replace(
                    row, label=_unnumbered(row.label), folders=(*row.folders, (seed, str(folder)))
                )
                return
    there = ((seed, str(folder)),)
    rows.append(Row(str(folder), str(folder), config=str(path), folders=there))


def _unnumbered(folder: str) -> str:
    """`work_dirs/dsr` of `work_dirs/dsr-seed3`, `work_dirs/dsr_3` and itself."""
    return re.sub(r'[\W_]*(seed)?[\W_]*\d*$', '', folder) or folder


def _options(options: Mapping[str, Any], place: str) -> tuple[tuple[str, object], ...]:
    if any(isinstance(value, (dict, list)) for value in options.values()):
        raise ConfigError(f'{place} is no number or word: use an overlay')
    return tuple(options.items())


def _require_names(rows: Sequence[Row], otherwise: str) -> None:
    if not rows or len({row.name for row in rows}) < len(rows):
        raise ConfigError(otherwise)
