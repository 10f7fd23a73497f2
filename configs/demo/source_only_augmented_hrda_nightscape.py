"""Nightscape, source only with the adaptation's colour jitter and blur: what augmentation alone gives.

python tools/train.py configs/demo/source_only_augmented_hrda_nightscape.py
"""

_base_ = 'source_only_hrda_nightscape.py'

model = dict(augmentation=dict(type='PhotometricAugmentation'))
