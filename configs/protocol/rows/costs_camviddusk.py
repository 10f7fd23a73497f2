# What the method may take from the large static classes (docs/protocol.md), for `tools/reproduce.py --rows-file`.
_base_ = 'costs_nightscape.py'

test_sets = ['camvid_dusk_val']
rows = [dict(row, config=row['config'].replace('nightscape', 'camviddusk')) for row in _base_.rows]
