"""Without the day reference: the pseudo-label is the night image's own.

python tools/train.py configs/protocol/dsr_from_source_nightscape.py --with configs/ablations/no_refinement.py
"""

model = dict(refinement=None)
