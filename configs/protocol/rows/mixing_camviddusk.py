# Which classes the method mixes (the paper's table IV), by docs/protocol.md, for `tools/reproduce.py --rows-file`.
_base_ = 'mixing_nightscape.py'

test_sets = ['camvid_dusk_val']
# the target has no truth
logged = [key for key in _base_.logged if not key.startswith('pseudo_accuracy')]
rows = [dict(row, config=row['config'].replace('nightscape', 'camviddusk')) for row in _base_.rows]
