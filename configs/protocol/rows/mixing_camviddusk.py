# Which classes the method mixes (the paper's table IV), by docs/protocol.md, for `tools/reproduce.py --rows-file`.
_base_ = 'mixing_nightscape.py'

test_sets = ['camvid_dusk_val']
rows = [dict(row, config=row['config'].replace('nightscape', 'camviddusk')) for row in _base_.rows]
