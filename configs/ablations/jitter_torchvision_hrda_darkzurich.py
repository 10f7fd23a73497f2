"""HRDA on Dark Zurich, torchvision's colour jitter.

python tools/train.py configs/ablations/jitter_torchvision_hrda_darkzurich.py
"""

_base_ = '../dsr_hrda_darkzurich.py'

model = dict(augmentation=dict(definition='torchvision'))
