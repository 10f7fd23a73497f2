"""What the rows of the paper's tables are (docs/method.md, "The tables").

Numbers in brackets are equations of arXiv 2310.04747.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Row:
    """A row of a table: a config and what differs from it.

    Attributes:
        variant: What is trained, e.g. `dsr`; '' for another work's row, which is printed only.
        network: `hrda`, `daformer`, `deeplabv2`, `refinenet` or a foundation encoder as
            `dinov3_b`; '' for a row of one's own.
        label: What the table prints.
        paper: Row of the paper's table, or None.
        group: A difference from the row above is taken within a group.
        config: Config file; None for another work's row.
        overlays: Files after `--with`.
        options: `--cfg-options`: dotted keys and values.
    """

    variant: str
    network: str
    label: str
    paper: str | None = None
    group: str = ''
    config: str | None = None
    overlays: tuple[str, ...] = ()
    options: tuple[tuple[str, object], ...] = ()

    @property
    def name(self) -> str:
        """How the command line calls it; '' for another work's row."""
        return '_'.join(part for part in (self.variant, self.network) if part)


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

#: What is trained on the small sets, of HRDA on nightscape everything; on the real ones all is.
_SMALL_SETS: dict[str, dict[str, tuple[str, ...]]] = {
    'nightscape': {
        'daformer': ('source_only', 'classmix', 'dsr'),
        'deeplabv2': ('source_only', 'dsr'),
        'refinenet': ('source_only', 'dsr'),
    },
    'camvid': {
        'hrda': ('source_only', 'source_only_augmented', 'classmix', 'composite_mask', 'bank',
                 'dsr'),
        'daformer': (),
        'deeplabv2': ('source_only', 'dsr'),
        'refinenet': ('source_only', 'dsr'),
    },
}  # fmt: skip


def row_on(data: str, row: Row) -> Row | None:
    """The row with its config and what differs from it; None if this data's table lacks it."""
    if not row.variant:
        return row if data == 'real' else None
    method = 'source_only' if row.variant.startswith('source_only') else 'dsr'
    overlays = _OVERLAYS.get(row.variant, () if row.options else (row.variant,))
    if data == 'real':
        target = 'cityscapes' if method == 'source_only' else 'darkzurich'
        target = 'acdc' if row.variant == 'acdc' else target
        config = f'configs/{method}_{row.network}_{target}.py'
        if row.variant in ('refign', 'authors'):  # a short run keeps its own schedule
            overlays = (*overlays, 'linear_decay')
        if row.variant == 'authors':
            row = replace(row, options=(('model.alignment.start', 9700),))  # their epoch 8
        if row.network == 'hrda' and method == 'source_only':
            # the adapted ones start from other weights: no difference is taken across the two
            row = replace(row, label=f'{row.label} (ImageNet start)', group='hrda from ImageNet')
    else:
        if row.variant == 'acdc' or row.variant not in _SMALL_SETS[data].get(
            row.network, (row.variant,)
        ):
            return None
        camvid = data == 'camvid'
        network = '' if camvid and row.network == 'hrda' else f'_{row.network}'
        place, suffix = ('camvid', 'camviddusk') if camvid else ('demo', 'nightscape')
        config = f'configs/{place}/{method}{network}_{suffix}.py'
    files = tuple(f'configs/ablations/{overlay}.py' for overlay in overlays)
    return replace(row, config=config, overlays=files)


_NETWORKS = {
    'refinenet': 'RefineNet', 'deeplabv2': 'DeepLabv2', 'daformer': 'DAFormer', 'hrda': 'HRDA',
}  # fmt: skip
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


def _others(*names: str, group: str) -> list[Row]:
    return [Row('', '', name, paper=name, group=group) for name in names]


def _night_rows(network: str) -> list[Row]:
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
    return [
        Row(variant, network, label, paper, group=network)
        for variant, label, paper in rows
        if hrda or variant != 'source_only_augmented'
    ]


def _first_table() -> list[Row]:
    refinenet, deeplab = _night_rows('refinenet'), _night_rows('deeplabv2')
    others = ('GCMA', 'MGCDA', 'DANNet-RefineNet', 'Bi-Mix', 'CCDistill')
    return [
        refinenet[0], *_others(*others, group='refinenet'), *refinenet[1:],
        deeplab[0], *_others('DANNet-DeepLabv2', 'SePiCo', group='deeplabv2'), *deeplab[1:],
        *_night_rows('hrda'),
    ]  # fmt: skip


def _second_table() -> list[Row]:
    left_out = ('Bi-Mix', 'DANNet-DeepLabv2', 'SePiCo')
    rows = [row for row in _first_table() if row.paper not in left_out]
    rows = [replace(r, paper=None) if r.paper == 'HRDA-Cityscapes' else r for r in rows]
    on_acdc = [
        Row('acdc', network, f'DSR-NSS-{title}, target ACDC night', group=f'acdc {network}')
        for network, title in _NETWORKS.items()
    ]
    return [*rows, *on_acdc]


def _hrda(*rows: tuple[str, ...]) -> list[Row]:
    """Rows of HRDA: variant, label and the paper's row, if it has one."""
    return [Row(row[0], 'hrda', row[1], paper=row[2] if row[2:] else None) for row in rows]


def _fifth_table() -> list[Row]:
    rows = []
    for beta in (0.075, 0.1, 0.125):
        for alpha in (0.75, 1.0, 1.25, 1.5):
            options = {'model.alpha': alpha, 'model.beta': beta}
            own = (alpha, beta) == (1.0, 0.1)
            rows.append(
                Row(
                    'dsr' if own else f'alpha{100 * alpha:03.0f}_beta{1000 * beta:04.0f}',
                    'hrda',
                    f'alpha {alpha}, beta {beta}',
                    f'alpha{alpha} beta{beta:.3f}',
                    group=f'beta {beta}',
                    options=() if own else tuple(options.items()),
                )
            )
    return rows


def _sixth_table() -> list[Row]:
    printed = {'classmix_daformer': 'DAFormer', 'classmix_hrda': 'HRDA', 'dsr_hrda': 'DSR-NSS-HRDA'}
    rows = []
    for network, title in _NETWORKS.items():
        rows.append(Row('source_only', network, f'{title}, source only', group=network))
        if network in ('daformer', 'hrda'):
            label = f'{title}, own self-training (ClassMix)'
            rows.append(Row('classmix', network, label, group=network))
        rows.append(Row('dsr', network, f'DSR-NSS-{title}', group=network))
    return [replace(row, paper=printed.get(row.name)) for row in rows]


_COMPONENTS = _hrda(
    ('classmix', 'baseline: own self-training (ClassMix)', 'baseline HRDA'),
    ('refinement', '+ refinement by the day reference'),
    ('composite_mask', '+ composite mask: DSR without bank', '+ DSR without long-tail bank'),
    ('bank', '+ long-tail bank: DSR full', '+ DSR full'),
    ('fpa_plain', '+ FPA without re-weighting', '+ FPA without re-weighting'),
    ('dsr', '+ FPA full', '+ FPA full'),
)
_MIXED_CLASSES = _hrda(
    ('empty_mask', 'nothing mixed, no bank', 'baseline + FPA'),
    ('random_mask', 'random classes', '+ random classes'),
    ('random_small_mask', 'random + small classes', '+ random + small classes'),
    ('random_dynamic_mask', 'random + dynamic classes', '+ random + dynamic classes'),
    ('dsr', 'random + small + dynamic classes', 'ours'),
)
_CHOICES = _hrda(
    ('dsr', 'default'),
    ('fpa_literal', '[12] as printed: s + 1/s'),
    ('fpa_night_cut', 'night gradient cut'),
    ('teacher_running', 'teacher on running statistics'),
    ('teacher_apart', 'teacher: night and day apart'),
    ('teacher_target', 'teacher on statistics of its own passes'),
    ('jitter_torchvision', "torchvision's jitter"),
    ('authors', "the authors' code"),
)
_FOUNDATION = [
    Row(variant, f'dinov{version}_{size}', f'DINOv{version}-{size.upper()}, {label}',
        group=f'dinov{version}_{size}')
    for version in (2, 3)
    for size in 'sbl'
    for variant, label in (
        ('source_only', 'source only'),
        ('self_training', '+ self-training (ClassMix)'),
        ('mic', '+ masked consistency (MIC)'),
        ('refinement', '+ refinement by the day reference'),
        ('dsr', '+ composite mask, bank and FPA: DSR-NSS'),
    )
]  # fmt: skip

#: Table -> title, rows from top to bottom, what a reader of the real table must know.
CONTENT: dict[str, tuple[str, list[Row], tuple[str, ...]]] = {
    '1': ('comparison at night', _first_table(), (_TEST_LABELS, _OTHER_START)),
    '2': (
        'generalisation to other night sets',
        _second_table(),
        (
            'Adapted rows adapt to Dark Zurich where their label says nothing else.',
            'Source-only HRDA starts from ImageNet weights, adapted ones from Cityscapes weights.',
        ),
    ),
    '3': ('components', _COMPONENTS, (_TEST_LABELS, _OTHER_START)),
    '4': ('which classes are mixed', _MIXED_CLASSES, (_TEST_LABELS,)),
    '5': ('weights of the losses', _fifth_table(), (_TEST_LABELS,)),
    '6': (
        'the source domain after adaptation',
        _sixth_table(),
        (
            "The paper's figures of DAFormer and HRDA look like their published GTA-to-Cityscapes "
            'results, where the labels are synthetic; ours adapt to Dark Zurich and learn from '
            "Cityscapes' own labels. Do not compare them.",
            'Source-only and DAFormer, DeepLabv2 and RefineNet runs start from ImageNet weights, '
            'HRDA adapted to Dark Zurich from Cityscapes ones.',
        ),
    ),
    'choices': ('what the paper leaves open', _CHOICES, ()),
    'vfm': ('foundation encoders, one part after the other', _FOUNDATION, ()),
}
