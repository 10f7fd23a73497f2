"""What the rows of the paper's tables are (docs/method.md, "The tables").

Numbers in brackets are equations of arXiv 2310.04747.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        variant: What is trained, e.g. `dsr`; '' for another work's row, which is printed only.
        network: `hrda`, `daformer`, `deeplabv2` or `refinenet`.
        label: What the table prints.
        paper: Row of the paper's table, or None.
        group: A difference from the row above is taken within a group.
        config: Its config file below the checkout, or None for another work's row.
    """

    variant: str
    network: str
    label: str
    paper: str | None = None
    group: str = ''
    config: str | None = None

    @property
    def name(self) -> str:
        """How the command line calls it; '' for another work's row."""
        return f'{self.variant}_{self.network}' if self.variant else ''


_NETWORKS = {
    'refinenet': 'RefineNet',
    'deeplabv2': 'DeepLabv2',
    'daformer': 'DAFormer',
    'hrda': 'HRDA',
}

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


def _night_rows() -> list[Row]:
    """Tables I and II: without adaptation, the base methods that ours contains, the method."""
    rows = []
    for network, title in _NETWORKS.items():
        if network == 'daformer':
            continue
        hrda = network == 'hrda'
        own = 'own self-training (ClassMix)' if hrda else 'ClassMix self-training (DACS)'
        cityscapes = f'{title}-Cityscapes'
        rows += [
            Row(
                'source_only',
                network,
                f'{title}, source only',
                None if hrda else cityscapes,
            ),
            *([Row('source_only_augmented', network, f'{title}, source only + jitter and blur')]
              if hrda else []),
            Row('classmix', network, f'{title}, {own}', cityscapes if hrda else None),
            Row(
                'refign',
                network,
                f'{title}, Refign as published',
                'Refign-HRDA' if hrda else None,
            ),
            Row('dsr', network, f'DSR-NSS-{title}', f'DSR-NSS-{title}'),
        ]  # fmt: skip
    return [replace(row, group=row.network) for row in rows]


def _first_table() -> list[Row]:
    rows = _night_rows()
    by_network = {n: [row for row in rows if row.network == n] for n in _NETWORKS}
    refinenet = ('GCMA', 'MGCDA', 'DANNet-RefineNet', 'Bi-Mix', 'CCDistill')
    deeplab = ('DANNet-DeepLabv2', 'SePiCo')
    return [
        *by_network['refinenet'][:1], *_others(*refinenet, group='refinenet'),
        *by_network['refinenet'][1:],
        *by_network['deeplabv2'][:1], *_others(*deeplab, group='deeplabv2'),
        *by_network['deeplabv2'][1:],
        *by_network['hrda'],
    ]  # fmt: skip


def _second_table() -> list[Row]:
    rows = _night_rows()
    printed = {'RefineNet-Cityscapes', 'DeepLabv2-Cityscapes', 'Refign-HRDA',
               'DSR-NSS-RefineNet', 'DSR-NSS-DeepLabv2', 'DSR-NSS-HRDA'}  # fmt: skip
    rows = [replace(r, paper=r.paper if r.paper in printed else None) for r in rows]
    on_acdc = [
        Row('acdc', network, f'DSR-NSS-{title}, target ACDC night', group=f'acdc {network}')
        for network, title in _NETWORKS.items()
    ]
    others = _others('GCMA', 'MGCDA', 'DANNet-RefineNet', 'CCDistill', group='refinenet')
    return [*rows[:1], *others, *rows[1:], *on_acdc]


def _third_table() -> list[Row]:
    return [
        Row('classmix', 'hrda', 'baseline: own self-training (ClassMix)', 'baseline HRDA'),
        Row('refinement', 'hrda', '+ refinement by the day reference'),
        Row(
            'composite_mask',
            'hrda',
            '+ composite mask: DSR without bank',
            '+ DSR without long-tail bank',
        ),
        Row('bank', 'hrda', '+ long-tail bank: DSR full', '+ DSR full'),
        Row('fpa_plain', 'hrda', '+ FPA without re-weighting', '+ FPA without re-weighting'),
        Row('dsr', 'hrda', '+ FPA full', '+ FPA full'),
    ]


def _fourth_table() -> list[Row]:
    return [
        Row('empty_mask', 'hrda', 'nothing mixed, no bank', 'baseline + FPA'),
        Row('random_mask', 'hrda', 'random classes', '+ random classes'),
        Row(
            'random_small_mask',
            'hrda',
            'random + small classes',
            '+ random + small classes',
        ),
        Row(
            'random_dynamic_mask',
            'hrda',
            'random + dynamic classes',
            '+ random + dynamic classes',
        ),
        Row('dsr', 'hrda', 'random + small + dynamic classes', 'ours'),
    ]


def _fifth_table() -> list[Row]:
    rows = []
    for beta in (0.075, 0.1, 0.125):
        for alpha in (0.75, 1.0, 1.25, 1.5):
            variant = f'alpha{round(100 * alpha):03d}_beta{round(1000 * beta):04d}'
            own = (alpha, beta) == (1.0, 0.1)
            rows.append(
                Row(
                    'dsr' if own else variant,
                    'hrda',
                    f'alpha {alpha}, beta {beta}',
                    f'alpha{alpha} beta{beta:.3f}',
                    group=f'beta {beta}',
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


def _choices() -> list[Row]:
    return [
        Row('dsr', 'hrda', 'default'),
        Row('fpa_literal', 'hrda', '[12] as printed: s + 1/s'),
        Row('fpa_night_cut', 'hrda', 'night gradient cut'),
        Row('teacher_running', 'hrda', 'teacher on running statistics'),
        Row('teacher_apart', 'hrda', 'teacher: night and day apart'),
        Row('teacher_target', 'hrda', 'teacher on statistics of its own passes'),
        Row('jitter_torchvision', 'hrda', "torchvision's jitter"),
        Row('authors', 'hrda', "the authors' code"),
    ]


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
    '3': ('components', _third_table(), (_TEST_LABELS, _OTHER_START)),
    '4': ('which classes are mixed', _fourth_table(), (_TEST_LABELS,)),
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
    'choices': ('what the paper leaves open', _choices(), ()),
}
