"""Nightscape, torchvision's colour jitter.

python tools/train.py configs/ablations/nightscape/jitter_torchvision_hrda_nightscape.py
"""

_base_ = '../../demo/dsr_hrda_nightscape.py'

model = dict(augmentation=dict(definition='torchvision'))
