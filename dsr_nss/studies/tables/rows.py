"""The paper's tables (docs/method.md, "The tables"): their rows, and the numbers that it prints.

Numbers in brackets are equations of arXiv 2310.04747.
"""

import functools
import json
from pathlib import Path

from dsr_nss.errors import ConfigError
from dsr_nss.studies.tables.table import Column, Row, Table

#: What a table can be measured on, and how a heading calls it.
DATA = {'real': 'the real sets', 'nightscape': 'nightscape', 'camvid': 'CamVid'}
#: The paper numbers its tables so.
NUMERALS = {'1': 'I', '2': 'II', '3': 'III', '4': 'IV', '5': 'V', '6': 'VI'}

#: Overlays of the variants that are not called as their one overlay.
_OVERLAYS: dict[str, tuple[str, ...]] = {
    'dsr': (), 'acdc': (), 'source_only': (),
    'source_only_augmented': ('jitter_and_blur',),
    'refinement': ('random_mask', 'no_bank', 'no_fpa'),
    'composite_mask': ('no_bank', 'no_fpa'),
    'bank': ('no_fpa',),
    'empty_mask': ('empty_mask', 'no_bank'),
}  # fmt: skip
#: What is trained on the small sets, of HRDA on nightscape everything; on the real ones all is.
_SMALL_SETS: dict[str, dict[str, tuple[str, ...]]] = {
    'nightscape': {
        'daformer': ('source_only', 'classmix', 'dsr'),
        'deeplabv2': ('source_only', 'dsr'), 'refinenet': ('source_only', 'dsr'),
    },
    'camvid': {
        'hrda': ('source_only', 'source_only_augmented', 'classmix', 'composite_mask', 'bank',
                 'dsr'),
        'daformer': (), 'deeplabv2': ('source_only', 'dsr'), 'refinenet': ('source_only', 'dsr'),
    },
}  # fmt: skip
_NETWORKS = {
    'refinenet': 'RefineNet', 'deeplabv2': 'DeepLabv2', 'daformer': 'DAFormer', 'hrda': 'HRDA',
}  # fmt: skip

#: Variant ('' for another work's row), network, label, the paper's row, group and options.
_Line = tuple


def _row(
    data: str,
    variant: str,
    network: str,
    label: str,
    paper: str | None = None,
    group: str = '',
    options: tuple[tuple[str, object], ...] = (),
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
            options = (('model.alignment.start', 9700),)  # their epoch 8
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
    return Row(f'{variant}_{network}', label, paper, group, f'configs/{name}.py', files, options)


def _night(network: str) -> list[_Line]:
    """Tables I and II: without adaptation, the base methods that ours contains, the method."""
    title, hrda = _NETWORKS[network], network == 'hrda'
    own = 'own self-training (ClassMix)' if hrda else 'ClassMix self-training (DACS)'
    cityscapes = f'{title}-Cityscapes'
    rows = [
        ('source_only', f'{title}, source only', None if hrda else cityscapes),
        ('source_only_augmented', f'{title}, source only + jitter and blur', None),
        ('classmix', f'{title}, {own}', cityscapes if hrda else None),
        ('refign', f'{title}, Refign as published', 'Refign-HRDA' if hrda else None),
        ('dsr', f'DSR-NSS-{title}', f'DSR-NSS-{title}'),
    ]
    wanted = [row for row in rows if hrda or row[0] != 'source_only_augmented']
    return [(variant, network, label, paper) for variant, label, paper in wanted]


def _others(network: str, *names: str) -> list[_Line]:
    return [('', network, name, name) for name in names]


_FIRST = [
    _night('refinenet')[0],
    *_others('refinenet', 'GCMA', 'MGCDA', 'DANNet-RefineNet', 'Bi-Mix', 'CCDistill'),
    *_night('refinenet')[1:],
    _night('deeplabv2')[0], *_others('deeplabv2', 'DANNet-DeepLabv2', 'SePiCo'),
    *_night('deeplabv2')[1:],
    *_night('hrda'),
]  # fmt: skip
_SECOND = [
    (*line[:3], None if line[3] == 'HRDA-Cityscapes' else line[3])
    for line in _FIRST
    if line[3] not in ('Bi-Mix', 'DANNet-DeepLabv2', 'SePiCo')
] + [
    ('acdc', network, f'DSR-NSS-{title}, target ACDC night', None, f'acdc {network}')
    for network, title in _NETWORKS.items()
]
_WEIGHTS = [
    (
        'dsr' if own else f'alpha{100 * alpha:03.0f}_beta{1000 * beta:04.0f}', 'hrda',
        f'alpha {alpha}, beta {beta}', f'alpha{alpha} beta{beta:.3f}', f'beta {beta}',
        () if own else (('model.alpha', alpha), ('model.beta', beta)),
    )
    for beta in (0.075, 0.1, 0.125)
    for alpha in (0.75, 1.0, 1.25, 1.5)
    for own in [(alpha, beta) == (1.0, 0.1)]
]  # fmt: skip
_BY_DAY = [
    (variant, network, label, paper)
    for network, title in _NETWORKS.items()
    for variant, label, paper in (
        ('source_only', f'{title}, source only', None),
        ('classmix', f'{title}, own self-training (ClassMix)', title),
        ('dsr', f'DSR-NSS-{title}', 'DSR-NSS-HRDA' if network == 'hrda' else None),
    )
    if variant != 'classmix' or network in ('daformer', 'hrda')
]
_COMPONENTS = [
    ('classmix', 'hrda', 'baseline: own self-training (ClassMix)', 'baseline HRDA'),
    ('refinement', 'hrda', '+ refinement by the day reference'),
    ('composite_mask', 'hrda', '+ composite mask: DSR without bank',
     '+ DSR without long-tail bank'),
    ('bank', 'hrda', '+ long-tail bank: DSR full', '+ DSR full'),
    ('fpa_plain', 'hrda', '+ FPA without re-weighting', '+ FPA without re-weighting'),
    ('dsr', 'hrda', '+ FPA full', '+ FPA full'),
]  # fmt: skip
_MIXED_CLASSES = [
    ('empty_mask', 'hrda', 'nothing mixed, no bank', 'baseline + FPA'),
    ('random_mask', 'hrda', 'random classes', '+ random classes'),
    ('random_small_mask', 'hrda', 'random + small classes', '+ random + small classes'),
    ('random_dynamic_mask', 'hrda', 'random + dynamic classes', '+ random + dynamic classes'),
    ('dsr', 'hrda', 'random + small + dynamic classes', 'ours'),
]
_CHOICES = [
    ('dsr', 'hrda', 'default'),
    ('fpa_literal', 'hrda', '[12] as printed: s + 1/s'),
    ('fpa_night_cut', 'hrda', 'night gradient cut'),
    ('teacher_running', 'hrda', 'teacher on running statistics'),
    ('teacher_apart', 'hrda', 'teacher: night and day apart'),
    ('teacher_target', 'hrda', 'teacher on statistics of its own passes'),
    ('jitter_torchvision', 'hrda', "torchvision's jitter"),
    ('authors', 'hrda', "the authors' code"),
]
_TEST_LABELS = (
    "The paper's numbers are on Dark Zurich test, whose labels only its server has; ours are on "
    'Dark Zurich val and cannot be compared with them. `tools/test.py --submit dark_zurich` writes '
    'the archive for the server.'
)
_OTHER_START = (
    "The paper's figure of HRDA without the method is HRDA's published one: another start "
    '(ImageNet) and no day references. Here every adapted HRDA starts from the same Cityscapes '
    'weights; source-only ones start from ImageNet.'
)
#: Table -> title, rows from top to bottom, what a reader of the real table must know.
_CONTENT: dict[str, tuple[str, list[_Line], tuple[str, ...]]] = {
    '1': ('comparison at night', _FIRST, (_TEST_LABELS, _OTHER_START)),
    '2': (
        'generalisation to other night sets',
        _SECOND,
        (
            'Adapted rows adapt to Dark Zurich where their label says nothing else.',
            'Source-only HRDA starts from ImageNet weights, adapted ones from Cityscapes weights.',
        ),
    ),
    '3': ('components', _COMPONENTS, (_TEST_LABELS, _OTHER_START)),
    '4': ('which classes are mixed', _MIXED_CLASSES, (_TEST_LABELS,)),
    '5': ('weights of the losses', _WEIGHTS, (_TEST_LABELS,)),
    '6': (
        'the source domain after adaptation',
        _BY_DAY,
        (
            "The paper's figures of DAFormer and HRDA look like their published GTA-to-Cityscapes "
            'results, where the labels are synthetic; ours adapt to Dark Zurich and learn from '
            "Cityscapes' own labels. Do not compare them.",
            'Source-only and DAFormer, DeepLabv2 and RefineNet runs start from ImageNet weights, '
            'HRDA adapted to Dark Zurich from Cityscapes ones.',
        ),
    ),
    'choices': ('what the paper leaves open', _CHOICES, ()),
}
#: The paper's six, and one of our own for what the paper leaves open.
TABLES = tuple(_CONTENT)


def table(name: str, data: str) -> Table:
    """One of `TABLES` on one of `DATA`.

    Raises:
        ConfigError: There is no such table, or it has no rows on this data.
    """
    if name not in TABLES:
        raise ConfigError(f'there is no table {name!r}; there are {", ".join(TABLES)}')
    if data not in DATA:
        raise ConfigError(f'unknown data {data!r}; choose from {", ".join(DATA)}')
    if name not in tables_on(data):
        known = ', '.join(tables_on(data))
        raise ConfigError(f'table {name} has no rows on {data}; there are tables {known}')
    title, lines, notes = _CONTENT[name]
    called = f'Table {NUMERALS[name]}' if name in NUMERALS else name.capitalize()
    return Table(
        name=name,
        data=data,
        heading=f'{called} on {DATA[data]}: {title}',
        columns=columns_of(name, data),
        rows=tuple(row for line in lines if (row := _row(data, *line)) is not None),
        command=('tools/reproduce.py', '--table', name, '--data', data),
        notes=notes if data == 'real' else (),
        by_class=name == '1',
        reference='dsr_hrda' if name == 'choices' else None,
    )


def tables_on(data: str) -> tuple[str, ...]:
    """Names of the tables that a kind of data has rows for."""
    return ('1', '3', '6') if data == 'camvid' else TABLES


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


#: Row of the paper -> column -> percent; None where the paper has a dash.
PaperTable = dict[str, dict[str, float | None]]


@functools.cache
def paper_tables() -> dict[str, PaperTable]:
    """What the paper prints (tables I to VI) in one form: table -> row -> column -> percent.

    Columns are `mIoU` (tables I, III, IV, V and VI), our names of the classes (table I) and of the
    sets (table II). The rows of table V are named `alpha1.0 beta0.100`.
    """
    text = Path(__file__).with_name('paper_tables.json').read_text(encoding='utf-8')
    for theirs, ours in (('light', 'traffic light'), ('sign', 'traffic sign')):
        text = text.replace(f'"{theirs}"', f'"{ours}"')
    printed = json.loads(text.replace('nighttime_driving_test', 'nighttime_driving'))
    weights = printed['table5_loss_weights_dark_zurich_test']
    numbers = {
        '3': {r['row']: r['mIoU'] for r in printed['table3_components_dark_zurich_test']},
        '4': {r['row']: r['mIoU'] for r in printed['table4_selected_classes_dark_zurich_test']},
        '5': {
            f'alpha{alpha} beta{beta}': value
            for beta, values in weights['beta'].items()
            for alpha, value in zip(weights['alpha'], values, strict=True)
        },
        '6': printed['table6_cityscapes_val'],
    }
    one_column = {name: {k: {'mIoU': v} for k, v in row.items()} for name, row in numbers.items()}
    return {
        '1': printed['table1_dark_zurich_test'], '2': printed['table2_other_sets'], **one_column
    }  # fmt: skip
