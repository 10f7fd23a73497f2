# Masked consistency with and without the method (docs/protocol.md), for `tools/reproduce.py --rows-file`.
_base_ = 'protocol_nightscape.py'

title = 'masked consistency, from one trained source network'
seeds = [0, 1, 2]
_masking = 'configs/ablations/masking.py'
_labels = dict(classmix='ClassMix', with_fpa='DSR-NSS')
_pair = [
    dict(row, group=row['name'], label=_labels[row['name']])
    for row in _base_.rows
    if row['name'] in _labels
]
rows = [
    new
    for row in _pair
    for new in (
        row,
        dict(
            row,
            name=f'{row["name"]}_masked',
            label=f'{row["label"]} and masked consistency',
            overlays=[*row.get('overlays', []), _masking],
        ),
    )
]
