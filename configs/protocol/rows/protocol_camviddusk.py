# Phase 1 of docs/protocol.md on CamVid, for `tools/reproduce.py --rows-file`: the rows of nightscape
# but for those that need day references.
_base_ = 'protocol_nightscape.py'

test_sets = ['camvid_dusk_val']
# the target has no truth
logged = [key for key in _base_.logged if not key.startswith('pseudo_accuracy')]
rows = [
    dict(row, config=row['config'].replace('nightscape', 'camviddusk'))
    for row in _base_.rows
    if row['name'] not in ('with_refinement', 'static_agreement', 'refign_published')
]
