"""CamVid day to dusk, source only with the adaptation's colour jitter and blur: what augmentation
alone gives.

    python tools/train.py configs/camvid/source_only_augmented_camviddusk.py
"""

_base_ = 'source_only_camviddusk.py'

model = dict(augmentation=dict(type='PhotometricAugmentation'))
