# The method without what cost it most in the tables of parts and of mixed classes (docs/protocol.md), on
# other seeds than theirs, for `tools/reproduce.py --rows-file`.
_base_ = 'protocol_nightscape.py'

title = 'the method with random and small classes alone, without the bank'
seeds = [4, 5, 6, 7]
reference = 'classmix'
_labels = dict(
    classmix='ClassMix',
    with_refinement='ClassMix with the day reference',
    with_fpa='DSR-NSS',
)
rows = [
    *(dict(row, label=_labels[row['name']]) for row in _base_.rows if row['name'] in _labels),
    dict(
        name='small_no_bank',
        label='DSR-NSS, random + small classes, no bank',
        config='configs/protocol/dsr_from_source_nightscape.py',
        overlays=['configs/ablations/random_small_mask.py', 'configs/ablations/no_bank.py'],
    ),
]
