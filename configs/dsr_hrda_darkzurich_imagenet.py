"""The paper's run from ImageNet weights instead of Cityscapes ones, as HRDA starts.

    python tools/train.py configs/dsr_hrda_darkzurich_imagenet.py --amp

Its results never stand in one table with those of `dsr_hrda_darkzurich.py` without saying so.
"""

_base_ = 'dsr_hrda_darkzurich.py'

model = dict(
    student=dict(backbone=dict(init_cfg=dict(checkpoint='data/pretrained/mit_b5.pth'))),
)
