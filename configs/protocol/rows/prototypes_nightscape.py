# What of the prototypes does it (docs/protocol.md), for `tools/reproduce.py --rows-file`.
_base_ = 'protocol_nightscape.py'

title = 'what the prototypes do'
seeds = [0, 1, 2, 3]
reference = 'with_bank'
_method = 'configs/protocol/dsr_from_source_nightscape.py'
rows = [
    *(dict(row, label='without prototypes') for row in _base_.rows if row['name'] == 'with_bank'),
    dict(
        name='night_cut',
        label='prototypes, no gradient through the night',
        config=_method,
        overlays=['configs/ablations/fpa_night_cut.py'],
    ),
    *(dict(row, label='DSR-NSS') for row in _base_.rows if row['name'] == 'with_fpa'),
]
