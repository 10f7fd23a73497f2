"""Source only with the adaptation's colour jitter and blur: what augmentation alone gives.

    python tools/train.py configs/source_only_hrda_cityscapes.py \
        --with configs/ablations/jitter_and_blur.py
"""

model = dict(augmentation=dict(type='PhotometricAugmentation'))
