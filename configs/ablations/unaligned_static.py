"""A day reference that cannot be aligned still speaks where night and day both see large static classes.

python tools/train.py configs/protocol/dsr_from_source_nightscape.py --with configs/ablations/unaligned_static.py
"""

model = dict(refinement=dict(unaligned='static'))
