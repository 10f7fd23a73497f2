"""The paper's tables (docs/method.md, "The tables"): their rows, and the numbers that it prints.

The rows are lines of `paper_rows.json`: variant ('' for another work's row), network, label, and if
wanted the paper's row, group and options. Numbers in brackets are equations of arXiv 2310.04747.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dsr_nss.errors import ConfigError
from dsr_nss.studies.tables.table import Column, Row, Table

_CONTENT = json.loads(Path(__file__).with_name('paper_rows.json').read_text(encoding='utf-8'))
#: The paper's six, one of our own for what the paper leaves open, and one for encoders of today.
TABLES = tuple(_CONTENT)
#: The paper numbers its tables so.
NUMERALS = {'1': 'I', '2': 'II', '3': 'III', '4': 'IV', '5': 'V', '6': 'VI'}
#: What a table can be measured on, and how a heading calls it.
DATA = {'real': 'the real sets', 'nightscape': 'nightscape', 'camvid': 'CamVid'}

#: Overlays of the variants that are not called as their one overlay.
_OVERLAYS: dict[str, tuple[str, ...]] = {
    'dsr': (), 'acdc': (), 'source_only': (),
    'source_only_augmented': ('jitter_and_blur',),
    'refinement': ('random_mask', 'no_bank', 'no_fpa'),
    'composite_mask': ('no_bank', 'no_fpa'),
    'bank': ('no_fpa',),
    'empty_mask': ('empty_mask', 'no_bank'),
    # of foundation encoders, whose configs have masked consistency
    'self_training': ('classmix', 'no_masking'), 'mic': ('classmix',),
}  # fmt: skip
_TWO = ('source_only', 'dsr')
#: What is trained on the small sets, of HRDA on nightscape everything; on the real ones all is.
_SMALL_SETS: dict[str, dict[str, tuple[str, ...]]] = {
    'nightscape': {'daformer': (*_TWO, 'classmix'), 'deeplabv2': _TWO, 'refinenet': _TWO},
    'camvid': {
        'hrda': (*_TWO, 'source_only_augmented', 'classmix', 'composite_mask', 'bank'),
        'daformer': (), 'deeplabv2': _TWO, 'refinenet': _TWO,
    },
}  # fmt: skip


def _row(
    data: str,
    variant: str,
    network: str,
    label: str,
    paper: str | None = None,
    group: str | None = None,
    options: Mapping[str, object] | None = None,
) -> Row | None:
    """A row with its config and what differs from it; None if this data's table lacks it."""
    group = group or network
    if not variant:
        return Row('', label, paper, group) if data == 'real' else None
    method = 'source_only' if variant.startswith('source_only') else 'dsr'
    overlays = _OVERLAYS.get(variant, () if options else (variant,))
    if data == 'real':
        target = {'source_only': 'cityscapes', 'acdc': 'acdc'}
        name = f'{method}_{network}_{target.get(method) or target.get(variant, "darkzurich")}'
        if variant in ('refign', 'authors'):  # a short run keeps its own schedule
            overlays = (*overlays, 'linear_decay')
        if variant == 'authors':
            overlays = (*overlays, 'authors_start')
        if network == 'hrda' and method == 'source_only':
            # the adapted ones start from other weights: no difference is taken across the two
            label, group = f'{label} (ImageNet start)', 'hrda from ImageNet'
    elif variant == 'acdc' or variant not in _SMALL_SETS[data].get(network, (variant,)):
        return None
    elif data == 'camvid':
        name = f'camvid/{method}{"" if network == "hrda" else "_" + network}_camviddusk'
    else:
        name = f'demo/{method}_{network}_nightscape'
    files = tuple(f'configs/ablations/{overlay}.py' for overlay in overlays)
    changes = tuple((options or {}).items())
    return Row(f'{variant}_{network}', label, paper, group, f'configs/{name}.py', files, changes)


def table(name: str, data: str) -> Table:
    """One of `TABLES` on one of `DATA`.

    Raises:
        ConfigError: It has no rows on this data.
    """
    if name not in tables_on(data):
        known = ', '.join(tables_on(data))
        raise ConfigError(f'table {name} has no rows on {data}; there are tables {known}')
    content = _CONTENT[name]
    called = f'Table {NUMERALS[name]}' if name in NUMERALS else content['called']
    return Table(
        name=name,
        data=data,
        heading=f'{called} on {DATA[data]}: {content["title"]}',
        columns=tuple(replace(c, of=drawn(data)) for c in columns_of(name, data)),
        rows=tuple(row for line in content['rows'] if (row := _row(data, *line)) is not None),
        command=('tools/reproduce.py', '--table', name, '--data', data),
        notes=tuple(content['notes']) if data == 'real' else (),
        by_class=name == '1',
        reference='dsr_hrda' if name == 'choices' else None,
    )


def tables_on(data: str) -> tuple[str, ...]:
    """Names of the tables that a kind of data has rows for."""
    if data == 'camvid':
        return ('1', '3', '6')
    return tuple(name for name in TABLES if data == 'real' or name != 'vfm')


def columns_of(name: str, data: str) -> tuple[Column, ...]:
    """What a table measures; '' is a table of one's own: the night set."""
    if name == '2':
        return (
            Column('nighttime_driving', paper_set='Nighttime Driving test'),
            Column('dark_zurich_val', paper_set='Dark Zurich val'),
            Column('acdc_night_val', paper_set='ACDC night val'),
        )
    if name == '6':
        day = 'camvid_day_val' if data == 'camvid' else 'cityscapes_val'
        return (Column(day, paper_set='Cityscapes val'),)
    night = 'camvid_dusk_val' if data == 'camvid' else 'dark_zurich_val'
    return (Column(night, paper_set='Dark Zurich test'),)


def drawn(data: str) -> str:
    """`Column.of` of its sets."""
    return data if data == 'nightscape' else ''


@functools.cache
def paper_tables() -> dict[str, dict[str, dict[str, float | None]]]:
    """What the paper prints (tables I to VI) in one form: table -> row -> column -> percent.

    Columns are `mIoU` (tables I, III, IV, V and VI), our names of the classes (table I) and of the
    sets (table II); None where the paper has a dash. Rows of table V are `alpha1.0 beta0.100`.
    """
    text = Path(__file__).with_name('paper_tables.json').read_text(encoding='utf-8')
    names = {'light': 'traffic light', 'sign': 'traffic sign'}
    for theirs, ours in (names | {'nighttime_driving_test': 'nighttime_driving'}).items():
        text = text.replace(f'"{theirs}"', f'"{ours}"')
    tables = {name[5]: content for name, content in json.loads(text).items() if name != 'source'}
    means = {name: {row['row']: row['mIoU'] for row in tables[name]} for name in ('3', '4')}
    means['5'] = {
        f'alpha{alpha} beta{beta}': value
        for beta, values in tables['5']['beta'].items()
        for alpha, value in zip(tables['5']['alpha'], values, strict=True)
    }
    means['6'] = tables['6']
    tables |= {name: {k: {'mIoU': v} for k, v in rows.items()} for name, rows in means.items()}
    return tables
