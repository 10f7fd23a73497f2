# Whether a day that cannot be aligned should speak by static agreement (docs/protocol.md), for
# `tools/reproduce.py --rows-file`.
_base_ = 'protocol_nightscape.py'

title = 'a day reference that cannot be aligned'
reference = 'with_fpa'
rows = [
    *(
        dict(row, label='DSR-NSS, XFeat: the night alone')
        for row in _base_.rows
        if row['name'] == 'with_fpa'
    ),
    dict(
        name='unaligned_static',
        label='DSR-NSS, XFeat: static agreement alone',
        config='configs/protocol/dsr_from_source_nightscape.py',
        overlays=['configs/ablations/unaligned_static.py'],
    ),
    *(
        dict(row, label='nothing is aligned: static agreement alone')
        for row in _base_.rows
        if row['name'] == 'static_agreement'
    ),
]
