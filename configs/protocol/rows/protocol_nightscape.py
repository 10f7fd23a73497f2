# Phase 1 of docs/protocol.md on nightscape, for `tools/reproduce.py --rows-file`.
title = 'from one trained source network, equal steps'
seeds = [0, 1, 2, 3, 4, 5, 6, 7]
test_sets = ['dark_zurich_val']
detailed = True
logged = [
    'pseudo_weight',
    'target_weight',
    'pseudo_accuracy_large_static',
    'pseudo_accuracy_dynamic',
    'pseudo_accuracy_small',
    'gradient_share_mixed',
    'gradient_share_proto',
]

_source = 'configs/protocol/continued_source_nightscape.py'
_method = 'configs/protocol/dsr_from_source_nightscape.py'
_ablations = 'configs/ablations'

rows = [
    dict(
        name='continued_source',
        label='source, continued',
        config=_source,
    ),
    dict(
        name='jitter_and_blur',
        label='+ jitter and blur',
        config=_source,
        overlays=[f'{_ablations}/jitter_and_blur.py'],
    ),
    dict(
        name='classmix',
        label='ClassMix self-training',
        config=_method,
        overlays=[f'{_ablations}/classmix.py'],
    ),
    dict(
        name='with_refinement',
        label='+ refinement by the day reference',
        config=_method,
        overlays=[
            f'{_ablations}/random_mask.py',
            f'{_ablations}/no_bank.py',
            f'{_ablations}/no_fpa.py',
        ],
    ),
    dict(
        name='with_composite_mask',
        label='+ composite mask',
        config=_method,
        overlays=[f'{_ablations}/no_bank.py', f'{_ablations}/no_fpa.py'],
    ),
    dict(
        name='with_bank',
        label='+ long-tail bank',
        config=_method,
        overlays=[f'{_ablations}/no_fpa.py'],
    ),
    dict(
        name='with_fpa_plain',
        label='+ prototypes without re-weighting',
        config=_method,
        overlays=[f'{_ablations}/fpa_plain.py'],
    ),
    dict(
        name='with_fpa',
        label='+ re-weighting: DSR-NSS',
        config=_method,
    ),
    dict(
        name='replicate',
        label='DSR-NSS again, other last digits',
        config=_method,
        options={'param_scheduler.power': 0.9000001},
    ),
    dict(
        name='static_agreement',
        label='DSR-NSS, static agreement alone',
        config=_method,
        overlays=[f'{_ablations}/static_agreement.py'],
    ),
    dict(
        name='dacs_published',
        label="DACS / HRDA's step as published",
        config=_method,
        overlays=[f'{_ablations}/dacs.py'],
        group='published',
    ),
    dict(
        name='refign_published',
        label="Refign's step as published (XFeat)",
        config=_method,
        overlays=[f'{_ablations}/refign.py'],
        group='published',
    ),
]
