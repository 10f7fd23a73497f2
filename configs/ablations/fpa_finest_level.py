"""Prototypes on the first of the four encoder maps, at stride 4.

python tools/train.py configs/protocol/dsr_from_source_nightscape.py --with configs/ablations/fpa_finest_level.py
"""

model = dict(alignment=dict(feature_level=0))
