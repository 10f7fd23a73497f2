"""CamVid day to dusk, ClassMix with every dynamic and small class mixed in; no bank, no prototypes.

Results: docs/results.md.

python tools/train.py configs/ablations/camvid/composite_mask_camviddusk.py
"""

_base_ = './bank_camviddusk.py'

model = dict(bank=None)
