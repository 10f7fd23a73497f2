# How right the pseudo-labels are over the training, by what aligns the day reference
# (docs/protocol.md), for `tools/reproduce.py --rows-file`. The runs are those of
# aligners_nightscape.py, looked at on crops of all 60 target images instead of eight.
_base_ = 'aligners_nightscape.py'

title = 'accuracy of pseudo-labels by what aligns the day reference'
seeds = [0]
reference = 'with_fpa_watched'
rows = [
    dict(
        row,
        name=f'{row["name"]}_watched',
        options={**row.get('options', {}), '+custom_hooks.1.images': 60},
    )
    for row in _base_.rows
]
