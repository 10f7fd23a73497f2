"""Prototypes on the third of the four encoder maps, at stride 16.

python tools/train.py configs/demo/dsr_hrda_nightscape.py --with configs/ablations/fpa_mid_level.py

There the classes lie further apart than in the finest map, but the HRDA of the small configs has 6x6
cells at that level (crop 192, context at half size), too few for small objects; a DAFormer at crop
256 has 16x16.
"""

model = dict(alignment=dict(feature_level=2))
