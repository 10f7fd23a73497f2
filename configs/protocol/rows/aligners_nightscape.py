# What aligns the day reference of the method (docs/protocol.md), for `tools/reproduce.py --rows-file`.
_base_ = 'protocol_nightscape.py'

title = 'what aligns the day reference'
seeds = [0, 1, 2, 3]
reference = 'with_fpa'
logged = [
    'pseudo_accuracy',
    'pseudo_accuracy_large_static',
    'pseudo_accuracy_dynamic',
    'pseudo_accuracy_small',
    'target_weight',
]
_method = 'configs/protocol/dsr_from_source_nightscape.py'
_aligned = dict(
    no_reference=('no day reference', 'no_refinement'),
    identity=('unaligned, half of the say (Identity)', 'aligner_identity'),
    homography=('one homography (SIFT)', 'aligner_homography'),
    uawarpc=('UAWarpC, trained on nightscape', 'aligner_uawarpc_nightscape'),
    true_flow=('true flow, an oracle', 'aligner_true_flow'),
)
rows = [
    *(dict(row, label='DSR-NSS, XFeat') for row in _base_.rows if row['name'] == 'with_fpa'),
    *(row for row in _base_.rows if row['name'] == 'static_agreement'),
    *(
        dict(name=name, label=label, config=_method, overlays=[f'configs/ablations/{overlay}.py'])
        for name, (label, overlay) in _aligned.items()
    ),
    dict(
        name='homography_apart',
        label='one homography (SIFT), teacher apart',
        config=_method,
        overlays=[
            'configs/ablations/aligner_homography.py',
            'configs/ablations/teacher_apart.py',
        ],
    ),
]
