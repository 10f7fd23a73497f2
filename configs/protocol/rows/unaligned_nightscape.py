# What becomes of a night whose day cannot be aligned (docs/protocol.md), for
# `tools/reproduce.py --rows-file`: its label comes from a teacher whose batch norms see night and day
# together or apart, and the day may still speak by static agreement.
_base_ = 'protocol_nightscape.py'

title = 'a day reference that cannot be aligned'
seeds = [4, 5, 6, 7]
reference = 'with_fpa'
rows = [
    *(
        dict(row, label='DSR-NSS, XFeat: the night alone')
        for row in _base_.rows
        if row['name'] == 'with_fpa'
    ),
    *(
        dict(
            name=name,
            label=f'DSR-NSS, XFeat: {label}',
            config='configs/protocol/dsr_from_source_nightscape.py',
            overlays=[f'configs/ablations/{overlay}.py' for overlay in overlays],
        )
        for name, label, overlays in (
            ('unaligned_static', 'static agreement alone', ['unaligned_static']),
            ('teacher_apart', 'the night alone, teacher apart', ['teacher_apart']),
            (
                'unaligned_static_apart',
                'static agreement alone, teacher apart',
                ['unaligned_static', 'teacher_apart'],
            ),
        )
    ),
    *(
        dict(row, label='nothing is aligned: static agreement alone')
        for row in _base_.rows
        if row['name'] == 'static_agreement'
    ),
]
