"""torchvision's colour jitter.

python tools/train.py configs/dsr_hrda_darkzurich.py --with configs/ablations/jitter_torchvision.py
"""

model = dict(augmentation=dict(definition='torchvision'))
