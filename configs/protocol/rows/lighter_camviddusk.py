# The method without what cost it most, on real pixels without day references (docs/protocol.md), for
# `tools/reproduce.py --rows-file`.
_base_ = 'lighter_nightscape.py'

test_sets = ['camvid_dusk_val']
rows = [
    dict(row, config=row['config'].replace('nightscape', 'camviddusk'))
    for row in _base_.rows
    if row['name'] != 'with_refinement'
]
